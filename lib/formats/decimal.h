/*
 * decimal.h: decimal text to the nearest double, and a float as such a text, whatever the host's
 * locale.
 */
#ifndef GPT2I_DECIMAL_H
#define GPT2I_DECIMAL_H

#include "../base/common.h"

/*
 * 'text' is a number of JSON's form, of any length; ties go to the even double, what is too small
 * becomes zero.  False if it is too large for a double; '*value' is not written then.
 */
GPT2I_HIDDEN bool gpt2i_decimal_to_double(const char *text, size_t length, double *value);

#define GPT2I_FLOAT_CHARS 24 /* NUL included */

/* A positive finite float with as few digits as tell it from other floats. */
GPT2I_HIDDEN void gpt2i_decimal_of_float(char text[GPT2I_FLOAT_CHARS], float value);

#endif
