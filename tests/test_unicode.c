/*
 * test_unicode.c: UTF-8, the classes of characters, and the pieces that GPT-2's pattern makes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "text/pretokenize.h"
#include "text/unicode.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Unicode, table 3-7, row by row. */
static size_t well_formed_length(const unsigned char b[4])
{
    static const unsigned char rows[][9] = {
        {1, 0x00, 0x7f},
        {2, 0xc2, 0xdf, 0x80, 0xbf},
        {3, 0xe0, 0xe0, 0xa0, 0xbf, 0x80, 0xbf},
        {3, 0xe1, 0xec, 0x80, 0xbf, 0x80, 0xbf},
        {3, 0xed, 0xed, 0x80, 0x9f, 0x80, 0xbf},
        {3, 0xee, 0xef, 0x80, 0xbf, 0x80, 0xbf},
        {4, 0xf0, 0xf0, 0x90, 0xbf, 0x80, 0xbf, 0x80, 0xbf},
        {4, 0xf1, 0xf3, 0x80, 0xbf, 0x80, 0xbf, 0x80, 0xbf},
        {4, 0xf4, 0xf4, 0x80, 0x8f, 0x80, 0xbf, 0x80, 0xbf},
    };

    for (size_t row = 0; row < COUNT(rows); row++) {
        size_t i = 0;

        while (i < rows[row][0] && b[i] >= rows[row][1 + 2 * i] && b[i] <= rows[row][2 + 2 * i])
            i++;
        if (i == rows[row][0])
            return i;
    }
    return 0;
}

static void test_utf8(void **state)
{
    static const unsigned char later[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90,
                                          0x9f, 0xa0, 0xbf, 0xc0, 0xe0, 0xff};
    uint32_t code_point;

    (void)state;
    for (unsigned first_two = 0; first_two < 0x10000; first_two++) {
        for (size_t i = 0; i < COUNT(later) * COUNT(later); i++) {
            unsigned char b[4] = {(unsigned char)(first_two >> 8), (unsigned char)first_two,
                                  later[i / COUNT(later)], later[i % COUNT(later)]};
            size_t wanted = well_formed_length(b);

            if (gpt2i_utf8_read(b, 4, &code_point) != wanted)
                fail_msg("%02x %02x %02x %02x: wanted %zu", b[0], b[1], b[2], b[3], wanted);
            for (size_t n = 0; n < 4; n++) /* cut off */
                assert_int_equal(gpt2i_utf8_read(b, n, &code_point), n < wanted ? 0 : wanted);
        }
    }
    assert_int_equal(gpt2i_utf8_read((const unsigned char *)"\xf4\x8f\xbf\xbf", 4, &code_point), 4);
    assert_int_equal(code_point, 0x10ffff);
    assert_int_equal(gpt2i_utf8_read((const unsigned char *)"\xef\xbf\xbd", 3, &code_point), 3);
    assert_int_equal(code_point, 0xfffd);
    assert_int_equal(gpt2i_utf8_read((const unsigned char *)"\xdf\xbf", 2, &code_point), 2);
    assert_int_equal(code_point, 0x7ff);
}

/* The numbers of Unicode 16.0.0's DerivedGeneralCategory.txt and PropList.txt. */
static void test_classes(void **state)
{
    static const uint32_t spaces[] = {
        0x09,   0x0a,   0x0b,   0x0c,   0x0d,   0x20,   0x85,   0xa0,   0x1680,
        0x2000, 0x2001, 0x2002, 0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008,
        0x2009, 0x200a, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000,
    };
    size_t counts[4] = {0};

    (void)state;
    for (uint32_t c = 0; c < 0x110000; c++)
        counts[gpt2i_class_of(c)]++;
    assert_int_equal(counts[GPT2I_LETTER], 141028);
    assert_int_equal(counts[GPT2I_NUMBER], 1911);
    assert_int_equal(counts[GPT2I_SPACE], COUNT(spaces));
    for (size_t i = 0; i < COUNT(spaces); i++)
        assert_int_equal(gpt2i_class_of(spaces[i]), GPT2I_SPACE);
    for (uint32_t c = 0; c < 128; c++)
        assert_int_equal(gpt2i_ascii_class[c], gpt2i_class_of(c));
    assert_int_equal(gpt2i_class_of(0x1c89), GPT2I_LETTER);  /* new in Unicode 16 */
    assert_int_equal(gpt2i_class_of(0x1c8b), GPT2I_OTHER);   /* unassigned */
    assert_int_equal(gpt2i_class_of(0x00bd), GPT2I_NUMBER);  /* one half: No */
    assert_int_equal(gpt2i_class_of(0x2163), GPT2I_NUMBER);  /* Roman four: Nl */
    assert_int_equal(gpt2i_class_of(0x0301), GPT2I_OTHER);   /* combining acute */
    assert_int_equal(gpt2i_class_of(0x200b), GPT2I_OTHER);   /* zero width space */
    assert_int_equal(gpt2i_class_of(0x1f44b), GPT2I_OTHER);  /* waving hand */
    assert_int_equal(gpt2i_class_of(0x323af), GPT2I_LETTER); /* the last letter */
    assert_int_equal(gpt2i_class_of(0xffffffff), GPT2I_OTHER);
}

/* ---------------------------------------------------------------------------------- breaking -- */

/* By hand from the pattern; tiktoken 0.14.0 breaks all that is UTF-8 the same way. */
static void test_breaks(void **state)
{
    static const char *const pieces[][14] = {
        {"Hello", " world", "!"},
        {"it", "'s", " don", "'t", " we", "'re", " I", "'ve", " I", "'m", " we", "'ll", " d", "'d"},
        {"IT", "'", "S", " WE", "'", "RE"}, /* upper case is no contraction */
        {"'s", "x", "'re", "x", "'ll"},
        {"a", " '", "s"}, /* nor is one with a space before it */
        {"!'", "s"},      /* nor one inside a run of others */
        {"''", "s"},
        {"'", "r", "'", "v", "'", "l", "'", "lx", "'"},
        {"\xe2\x80\x99", "s"}, /* a curly apostrophe */
        {"a", "1", "b", "22", " 100", "x"},
        {"a", " ", " b"},
        {"a", "  ", " b"},
        {"a", "  "},
        {" ", " b"},
        {"   "},
        {" "},
        {"a", "\n", "b"},
        {"a", "\n", "\n", "b"},
        {"a", "\n", " b"},
        {"a", " ", "\n", "b"},
        {"a", " \n", " b"},
        {"a", "\n\n"},
        {"a", "\t", "b"},
        {"a", "\t", "\t", "b"},
        {"a", " ", "\t", "b"},
        {"a", "\t", " b"},
        {"a", "\xc2\xa0", "b"},          /* a no-break space is white space, but no space */
        {"a", " ", "\xe3\x80\x80", "b"}, /* the last character, left over, has 3 bytes */
        {"a", "\xe3\x80\x80", " b"},
        {"a", "\xe3\x80\x80 ", "\xe3\x80\x80", "b"},
        {" 1", "a", " 2"},
        {"\xc2\xbd", "x"},
        {" !?", "a"},
        {"\xff", "a", "\xff\xfe", "1"}, /* ill-formed bytes are others */
        {" \xc3", "a"},
        {"a", "\xf0\x9f\x98", "a"},
        {"e", "\xcc\x81", "e"}, /* a combining acute is an other */
        {"\xc3\xa9\xe6\xbc\xa2", "\xe2\x85\xa3"
                                 "1"},
        {"\xed\xa0\x80", " \xed\xa0\x80", "x"}, /* a surrogate is three ill-formed bytes */
        {"<|", "endoftext", "|>"},
        {"\x1c!", "a"}, /* a file separator is no white space */
    };

    (void)state;
    for (size_t i = 0; i < COUNT(pieces); i++) {
        char text[128] = "";
        size_t at = 0;

        for (size_t p = 0; p < COUNT(pieces[i]) && pieces[i][p] != NULL; p++)
            strcat(text, pieces[i][p]);
        for (size_t p = 0; p < COUNT(pieces[i]) && pieces[i][p] != NULL; p++) {
            size_t found = gpt2i_piece_length((const unsigned char *)text + at, strlen(text) - at);

            if (found != strlen(pieces[i][p]))
                fail_msg("case %zu, piece %zu has %zu bytes", i, p, found);
            at += found;
        }
        assert_int_equal(at, strlen(text));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_breaks),
    };

    return cmocka_run_group_tests_name("unicode", tests, NULL, NULL);
}
