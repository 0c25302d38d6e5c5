/*
 * log.h: the natural logarithm, the same bits on every platform.
 */
#ifndef GPT2I_LOG_H
#define GPT2I_LOG_H

#include "../base/common.h"

/* ln(x) for a finite and normal x > 0, at most 3 units in the last place off. */
GPT2I_HIDDEN double gpt2i_log(double x);

#endif
