/*
 * api.h: what the parts of the API fuzzer share: random numbers, the record of the call under way,
 * and the oracles that hold for every call.
 *
 * A call is written so:
 *
 *     fuzz_call(FUZZ_gpt2_decode, "n_ids %zu", n_ids);        counts it and says what it is
 *     fuzz_may(n_bytes == NULL, GPT2_ERR_ARGUMENT);           each rule that its arguments break
 *     fuzz_result(gpt2_decode(...));                          OK if none, else one of those
 *
 * What is found wrong ends the program with the seed, the number of the call, the call, and what was
 * found and expected.
 */
#ifndef FUZZ_API_H
#define FUZZ_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpt2.h"

#define FUZZ_DIRECTORY TESTS_TMP "/api-fuzz"

/* Every public function, and the errors that the header gives it. */
#define FUZZ_FUNCTIONS(X)                                                                  \
    X(gpt2_batch_logits, "ROW ARGUMENT")                                                   \
    X(gpt2_batch_sample, "ROW NONFINITE TOKEN CANCELLED ARGUMENT UNSUPPORTED")             \
    X(gpt2_clock_ns, "")                                                                   \
    X(gpt2_cpu_features, "")                                                               \
    X(gpt2_decode, "BUFFER TOKEN ARGUMENT")                                                \
    X(gpt2_decode_part, "BUFFER TOKEN ARGUMENT")                                           \
    X(gpt2_encode, "BUFFER PIECE TOKEN ARGUMENT")                                          \
    X(gpt2_encoder_create, "MEMORY ARGUMENT UNSUPPORTED")                                  \
    X(gpt2_encoder_error, "")                                                              \
    X(gpt2_encoder_free, "")                                                               \
    X(gpt2_encoder_init, "BUFFER MEMORY ARGUMENT UNSUPPORTED")                             \
    X(gpt2_encoder_params_init, "ARGUMENT")                                                \
    X(gpt2_encoder_reset, "ARGUMENT")                                                      \
    X(gpt2_encoder_size, "MEMORY ARGUMENT UNSUPPORTED")                                    \
    X(gpt2_forward, "TOKEN CONTEXT PAGES ARGUMENT CANCELLED DEADLINE")                     \
    X(gpt2_forward_batch, "TOKEN CONTEXT PAGES SEQUENCE ARGUMENT CANCELLED DEADLINE")      \
    X(gpt2_generator_create, "MEMORY TOKEN ARGUMENT UNSUPPORTED")                          \
    X(gpt2_generator_drafted, "ARGUMENT")                                                  \
    X(gpt2_generator_error, "")                                                            \
    X(gpt2_generator_free, "")                                                             \
    X(gpt2_generator_init, "BUFFER MEMORY TOKEN ARGUMENT UNSUPPORTED")                     \
    X(gpt2_generator_params_init, "ARGUMENT")                                              \
    X(gpt2_generator_size, "MEMORY TOKEN ARGUMENT UNSUPPORTED")                            \
    X(gpt2_generator_start, "TOKEN CONTEXT SEQUENCE ARGUMENT UNSUPPORTED")                 \
    X(gpt2_generator_step, "SEQUENCE TOKEN ARGUMENT")                                      \
    X(gpt2_model_free, "")                                                                 \
    X(gpt2_model_get_info, "ARGUMENT")                                                     \
    X(gpt2_model_info_init, "ARGUMENT")                                                    \
    X(gpt2_model_load, "FILE FORMAT UNSUPPORTED MEMORY THREAD CANCELLED ARGUMENT")         \
    X(gpt2_model_load_sources, "FILE FORMAT UNSUPPORTED MEMORY THREAD CANCELLED ARGUMENT") \
    X(gpt2_model_params_init, "ARGUMENT")                                                  \
    X(gpt2_model_tokenizer, "")                                                            \
    X(gpt2_model_tokenizer_error, "")                                                      \
    X(gpt2_model_tensor, "MEMORY ARGUMENT")                                                \
    X(gpt2_model_write, "CANCELLED MEMORY UNSUPPORTED ARGUMENT")                           \
    X(gpt2_sample, "ROW NONFINITE TOKEN CANCELLED ARGUMENT UNSUPPORTED")                   \
    X(gpt2_sample_logits, "NONFINITE TOKEN CANCELLED ARGUMENT UNSUPPORTED")                \
    X(gpt2_sample_candidates, "NONFINITE TOKEN CANCELLED ARGUMENT UNSUPPORTED")            \
    X(gpt2_sample_params_init, "ARGUMENT")                                                 \
    X(gpt2_score,                                                                          \
      "TOKEN CONTEXT PAGES SEQUENCE ARGUMENT CANCELLED DEADLINE NONFINITE UNSUPPORTED")    \
    X(gpt2_score_logits, "TOKEN NONFINITE ARGUMENT UNSUPPORTED")                           \
    X(gpt2_score_params_init, "ARGUMENT")                                                  \
    X(gpt2_sequence_close, "SEQUENCE ARGUMENT")                                            \
    X(gpt2_sequence_fork, "CONTEXT SEQUENCE ARGUMENT")                                     \
    X(gpt2_sequence_ids, "SEQUENCE ARGUMENT")                                              \
    X(gpt2_sequence_open, "SEQUENCE ARGUMENT")                                             \
    X(gpt2_sequence_position, "SEQUENCE ARGUMENT")                                         \
    X(gpt2_sequence_restore, "STATE CONTEXT PAGES SEQUENCE ARGUMENT")                      \
    X(gpt2_sequence_save, "BUFFER STATE SEQUENCE ARGUMENT")                                \
    X(gpt2_sequence_truncate, "CONTEXT SEQUENCE ARGUMENT")                                 \
    X(gpt2_sequence_write, "CANCELLED STATE SEQUENCE ARGUMENT")                            \
    X(gpt2_session_after_fork, "ARGUMENT")                                                 \
    X(gpt2_session_cancel, "")                                                             \
    X(gpt2_session_create, "MEMORY THREAD ARGUMENT UNSUPPORTED")                           \
    X(gpt2_session_error, "")                                                              \
    X(gpt2_session_free, "")                                                               \
    X(gpt2_session_init, "BUFFER MEMORY THREAD ARGUMENT UNSUPPORTED")                      \
    X(gpt2_session_kernels, "")                                                            \
    X(gpt2_session_logits, "ROW ARGUMENT")                                                 \
    X(gpt2_session_n_ctx, "")                                                              \
    X(gpt2_session_n_free_pages, "")                                                       \
    X(gpt2_session_params_init, "ARGUMENT")                                                \
    X(gpt2_session_position, "")                                                           \
    X(gpt2_session_reset, "ARGUMENT")                                                      \
    X(gpt2_session_set_deadline, "ARGUMENT")                                               \
    X(gpt2_session_set_tap, "ARGUMENT")                                                    \
    X(gpt2_session_size, "MEMORY ARGUMENT UNSUPPORTED")                                    \
    X(gpt2_strerror, "")                                                                   \
    X(gpt2_tap_name, "ARGUMENT BUFFER")                                                    \
    X(gpt2_tokenizer_token_bytes, "TOKEN ARGUMENT")                                        \
    X(gpt2_token_offsets, "TOKEN ARGUMENT")                                                \
    X(gpt2_tokenizer_bos, "")                                                              \
    X(gpt2_tokenizer_eot, "")                                                              \
    X(gpt2_tokenizer_free, "")                                                             \
    X(gpt2_tokenizer_load, "FILE FORMAT MEMORY ARGUMENT UNSUPPORTED")                      \
    X(gpt2_tokenizer_load_sources, "FILE FORMAT MEMORY ARGUMENT UNSUPPORTED")              \
    X(gpt2_tokenizer_is_added, "")                                                         \
    X(gpt2_tokenizer_n_vocab, "")                                                          \
    X(gpt2_tokenizer_params_init, "ARGUMENT")                                              \
    X(gpt2_version, "")

enum fuzz_function {
#define X(name, errors) FUZZ_##name,
    FUZZ_FUNCTIONS(X)
#undef X
        FUZZ_N_FUNCTIONS
};

/* -------------------------------------------------------------------------------- the record -- */

/* Begins a call; frees what fuzz_temp() gave to the one before. */
void fuzz_call(enum fuzz_function function, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Says the arguments again, when they are known. */
void fuzz_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* If 'broken', the call may end with 'status': GPT2_OK where the header leaves a choice. */
void fuzz_may(bool broken, int32_t status);

/* How the call ends is a matter of time: it is not counted. */
void fuzz_is_race(void);

/* Checks the status of the call against those, and counts it; returns whether it is GPT2_OK. */
bool fuzz_result(int32_t status);

/* Ends the program. */
void fuzz_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#define REQUIRE(condition, ...)     \
    do {                            \
        if (!(condition))           \
            fuzz_fail(__VA_ARGS__); \
    } while (0)

/* A line of detail: one line with something in it after a failure, else empty. */
void fuzz_check_line(const char *line, bool ok);

/* Exactly so many bytes until the next call, so that a sanitizer sees any that are touched beyond. */
void *fuzz_temp(size_t n_bytes);

/* ---------------------------------------------------------------------------- random numbers -- */

/* SplitMix64 over the seed: the one source of everything that is drawn. */
uint64_t fuzz_random(void);

/* In [0, n); n > 0. */
size_t fuzz_below(size_t n);

static inline bool fuzz_chance(size_t one_in)
{
    return fuzz_below(one_in) == 0;
}

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define PICK(array)  ((array)[fuzz_below(COUNT(array))])

/* -------------------------------------------------------------------------------- the params -- */

/* A params struct as a release may have it, right or wrong. */
struct fuzz_params {
    void *at;      /* NULL: the defaults are asked for */
    bool writable; /* the fields this header knows may be set */
    char *errbuf;  /* NULL: none that the library can find */
    size_t errbuf_size;
};

struct fuzz_kind {
    const char *name;
    int32_t (*init)(void *params, size_t struct_size);
    enum fuzz_function init_function;
    size_t known_bytes;
    size_t first_bytes;   /* of release 0.1 */
    size_t errbuf_offset; /* 0: it has none */
    void (*check_defaults)(const void *params);
};

extern const struct fuzz_kind fuzz_model_info, fuzz_model_params, fuzz_tokenizer_params,
    fuzz_encoder_params, fuzz_session_params, fuzz_sample_params, fuzz_score_params,
    fuzz_generator_params;

/* Makes one for the call that has begun, and says with fuzz_may() what is wrong with it. */
struct fuzz_params fuzz_params_make(const struct fuzz_kind *kind);

/* After the call: what is in the errbuf, and that nothing is beside it. */
void fuzz_params_check(const struct fuzz_params *params, bool ok);

/* ---------------------------------------------------------------------------------- the parts -- */

/* Things to do, each at least one call; a weight is how often. */
struct fuzz_action {
    void (*run)(void);
    unsigned weight;
};

extern const struct fuzz_action fuzz_plain_actions[], fuzz_model_actions[], fuzz_source_actions[],
    fuzz_native_actions[], fuzz_tokenizer_actions[], fuzz_encoder_actions[], fuzz_session_actions[],
    fuzz_forward_actions[], fuzz_sample_actions[], fuzz_generator_actions[],
    fuzz_sequence_actions[], fuzz_state_actions[], fuzz_tap_actions[]; /* each ends with weight 0 */

/* A model as its file has it. */
struct fuzz_model {
    const char *directory;
    gpt2_model *model;
    int32_t n_vocab, n_positions, n_embd, n_layer, n_head, n_kv_head, n_inner, eot;
    int32_t n_qkv; /* outputs of c_attn */
    bool bigcode;  /* GPTBigCode: matrices are [outputs, inputs] */
    bool tokenizer;
    int n_sessions;      /* over it: it is loaded anew when there are none */
    int32_t weight_type; /* that it is loaded with */
};

#define FUZZ_N_MODELS 8

extern struct fuzz_model fuzz_models[FUZZ_N_MODELS];

/* Models stay the same all the time, to the bit. */
void fuzz_models_open(void);
void fuzz_models_check(void);
void fuzz_models_close(void);

/* A folder of a tokenizer with ids that its vocabulary leaves out: a 0, b 2, c 5, ab 7,
 * a space 8, two 9, <|endoftext|> 10. */
#define FUZZ_HOLES FUZZ_DIRECTORY "/holes"

/* After the models: their files in memory. */
void fuzz_sources_open(void);
void fuzz_sources_close(void);

/* After the models: their native files.  fuzz_native_load() loads the model 'at' from its own. */
void fuzz_natives_open(void);
void fuzz_native_load(size_t at);
void fuzz_natives_close(void);

void fuzz_tokenizers_open(void);
void fuzz_tokenizers_close(void);
void fuzz_encoders_close(void);

/* All sessions are as their last call left them, whatever was called on others. */
void fuzz_sessions_check(void);
void fuzz_sessions_close(void);
void fuzz_states_close(void);

/* How many texts a session of one thread has run again, to the same bits. */
extern uint64_t fuzz_n_replays;

/* Folds words into a hash: equal bits, equal hash. */
static inline uint64_t fuzz_hash(uint64_t hash, const void *at, size_t n_bytes)
{
    const unsigned char *bytes = at;

    while (n_bytes > 0) {
        size_t n = n_bytes < 8 ? n_bytes : 8;
        uint64_t word = 0;

        memcpy(&word, bytes, n);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15;
        hash ^= hash >> 32;
        bytes += n;
        n_bytes -= n;
    }
    return hash;
}

#endif
