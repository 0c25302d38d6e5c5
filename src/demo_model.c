/*
 * demo_model.c: the files of examples/demo-model, in the constants of the program.  The compiler finds them
 * from the root of the source.
 */
#include "demo_model.h"

#if defined(__APPLE__)
#define CONSTANTS    ".section __TEXT,__const\n"
#define SYMBOL(name) "_" #name
#else
#define CONSTANTS    ".section .rodata\n"
#define SYMBOL(name) #name
#endif

#define LABEL(name) ".globl " SYMBOL(name) "\n" SYMBOL(name) ":\n"

/* A file's bytes: from 'name' to 'name_end', where there is one more, since Mach-O wants one behind a label. */
#define DEMO_FILE(name, file)                                                   \
    __asm__(CONSTANTS LABEL(name) ".incbin \"examples/demo-model/" file         \
                                  "\"\n" LABEL(name##_end) ".byte 0\n.text\n"); \
    extern const unsigned char name[], name##_end[];

DEMO_FILE(demo_config, "config.json")
DEMO_FILE(demo_weights, "model.safetensors")
DEMO_FILE(demo_vocab, "vocab.json")
DEMO_FILE(demo_merges, "merges.txt")

static gpt2_source source(const char *name, const unsigned char *bytes, const unsigned char *end)
{
    return (gpt2_source){name, bytes, (uint64_t)(end - bytes), NULL, NULL};
}

void demo_model_sources(gpt2_source sources[DEMO_MODEL_FILES])
{
    sources[0] = source("config.json", demo_config, demo_config_end);
    sources[1] = source("model.safetensors", demo_weights, demo_weights_end);
    sources[2] = source("vocab.json", demo_vocab, demo_vocab_end);
    sources[3] = source("merges.txt", demo_merges, demo_merges_end);
}
