/*
 * cpu.h: what this CPU and operating system can run.
 */
#ifndef GPT2I_CPU_H
#define GPT2I_CPU_H

#include "../base/common.h"

/* GPT2_CPU_* groups, each whole or absent. */
GPT2I_HIDDEN uint32_t gpt2i_cpu_features(void);

/* Whether one row reads its weights faster if they are fetched ahead: on Intel's CPUs, not on AMD's. */
GPT2I_HIDDEN bool gpt2i_cpu_row_fetches(void);

#endif
