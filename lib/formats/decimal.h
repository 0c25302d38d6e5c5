/*
 * decimal.h: decimal text to the nearest double, whatever the host's locale.
 */
#ifndef GPT2I_DECIMAL_H
#define GPT2I_DECIMAL_H

#include "../base/common.h"

/*
 * 'text' is a number of JSON's form, of any length; ties go to the even double, what is too small
 * becomes zero.  False if it is too large for a double; '*value' is not written then.
 */
GPT2I_HIDDEN bool gpt2i_decimal_to_double(const char *text, size_t length, double *value);

#endif
