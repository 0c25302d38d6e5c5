/*
 * rows.c: draws and scores, on one thread.
 */
#include "rows.h"

#include "../platform.h"
#include "../setup.h"

#define MIN_SECONDS 0.01

static int32_t use_row(gpt2_session *session, enum row_kind kind, const float *logits,
                       gpt2_sample_params *sampling)
{
    gpt2_token_score score;
    int32_t id;

    if (kind == ROW_SCORE)
        return gpt2_score_logits(session, logits, 0, NULL, &score, NULL);
    sampling->position++; /* another random number */
    return gpt2_sample_logits(session, logits, sampling, &id);
}

enum outcome rows_time(gpt2_session *session, enum row_kind kind, double *seconds)
{
    gpt2_sample_params sampling;
    const float *logits;
    double start;
    double total = 0;
    int n = 0;
    int32_t status = gpt2_session_logits(session, GPT2_LAST_ROW, &logits);

    gpt2_sample_params_init(&sampling, sizeof sampling);
    sampling.temperature = kind == ROW_ARGMAX ? 0.0f : 0.8f;
    sampling.top_k = kind == ROW_TOP_P ? 40 : 0;
    sampling.top_p = kind == ROW_TOP_P ? 0.95f : 1.0f;
    if (status == GPT2_OK)
        status = use_row(session, kind, logits, &sampling); /* the caches fill */
    start = platform_seconds();
    while (status == GPT2_OK && total < MIN_SECONDS) {
        for (int i = 0; i < 16 && status == GPT2_OK; i++)
            status = use_row(session, kind, logits, &sampling);
        n += 16;
        total = platform_seconds() - start;
    }
    if (status != GPT2_OK)
        return session_complain(session, status);
    *seconds = total / n;
    return OUTCOME_DONE;
}
