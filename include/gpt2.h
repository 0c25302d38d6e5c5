/*
 * libgpt2: GPT-2 inference for C programs.
 *
 *     gpt2_model *model;
 *     gpt2_session *session;
 *     gpt2_model_load("path/to/gpt2", NULL, &model);       weights, read-only, shared
 *     gpt2_session_create(model, NULL, &session);          one text: KV cache, workspace
 *     gpt2_forward(session, ids, n_ids, 1);                run tokens, keep the last logits
 *     gpt2_sample(session, GPT2_LAST_ROW, NULL, &id);      choose the next token
 *
 * Rules that hold for every function here:
 *
 *   Errors    A fallible function returns GPT2_OK or a negative status whose number never changes.
 *             One line of detail goes to the buffer named in the params of a creating call, and to
 *             gpt2_session_error() or gpt2_encoder_error() afterwards.  A call that fails leaves
 *             its object as it was before; an out-parameter that a failed call would have set is
 *             NULL or 0 unless it says otherwise, nothing stays allocated.
 *             The library never aborts, exits, prints, or reads the environment.
 *   Threads   A model and a tokenizer are immutable: any number of threads may use one.  A session
 *             and an encoder belong to one thread at a time; gpt2_session_cancel() is the exception.
 *   Memory    Load, create and free deal with the system, and gpt2_session_size() and _init() where
 *             they count CPUs or start threads.  Nothing else allocates, opens files, starts threads
 *             or, on one thread or with a parallel_for, enters the kernel.
 *   Numbers   The same inputs give the same bits on every CPU, with every number of threads and
 *             however the tokens are split into calls.  docs/numerics.md says how.
 *   Growth    Params and info structs begin with struct_size and grow at their end only.  Set them
 *             up with their _init function.  docs/abi.md says what may change and what never does.
 *
 * Shapes are written [rows, columns], row-major.  Everything is available since 0.1 unless it says
 * otherwise.  Every function that takes a params struct may also return GPT2_ERR_UNSUPPORTED: the
 * struct is a newer one, and a field is set that this library does not know.
 */
#ifndef GPT2_H
#define GPT2_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) && !defined(_WIN32)
#define GPT2_API __attribute__((visibility("default")))
#else
#define GPT2_API
#endif

#define GPT2_VERSION_MAJOR 0
#define GPT2_VERSION_MINOR 1
#define GPT2_VERSION_PATCH 0

/* The version of the library in use, as "0.1.0": may be newer than the header compiled against. */
GPT2_API const char *gpt2_version(void);

/* ------------------------------------------------------------------------------------- status -- */

#define GPT2_OK 0

/* The call or its arguments are wrong: mend the program. */
#define GPT2_ERR_ARGUMENT (-1) /* NULL, out of range, or a struct_size this library cannot accept */
#define GPT2_ERR_TOKEN    (-2) /* a token id outside the vocabulary, or a byte without a token */
#define GPT2_ERR_CONTEXT  (-3) /* the tokens do not fit into the session's context */
#define GPT2_ERR_ROW      (-4) /* logits of a row that the last gpt2_forward() did not keep */
#define GPT2_ERR_BUFFER   (-5) /* a buffer is too small */
#define GPT2_ERR_PIECE    (-6) /* a piece of text is longer than the encoder was made for */

/* The machine cannot: free something, or ask for less. */
#define GPT2_ERR_MEMORY (-20) /* out of memory */
#define GPT2_ERR_THREAD (-21) /* a thread could not be started */

/* The files are not usable: the detail names the file, what was found and what was wanted. */
#define GPT2_ERR_FILE   (-40) /* cannot be opened or read */
#define GPT2_ERR_FORMAT (-41) /* damaged, or not the format it should be */

/* Well-formed, but not something this library runs faithfully: a variant of the model in a file, or
   a field of a newer params struct. */
#define GPT2_ERR_UNSUPPORTED (-42)

/* The call was ended. */
#define GPT2_ERR_CANCELLED (-60) /* by gpt2_session_cancel() or by a tap */
#define GPT2_ERR_DEADLINE  (-61) /* the deadline of gpt2_session_set_deadline() has passed */

/* The logits to sample from hold NaN or +infinity, hold nothing but -infinity, or leave the range of
   float when they are divided by the temperature. */
#define GPT2_ERR_NONFINITE (-80)

/* A good size for an errbuf: only lines with very long paths are cut. */
#define GPT2_ERRBUF_BYTES 1024

/* A sentence for a status, never NULL; also for numbers that this library does not know. */
GPT2_API const char *gpt2_strerror(int32_t status);

/* ---------------------------------------------------------------------------------------- CPU -- */

/* Groups of CPU features that kernels use.  They select speed, never results. */
#define GPT2_CPU_AVX2   0x1u /* x86-64: AVX2, FMA, F16C */
#define GPT2_CPU_AVX512 0x2u /* x86-64: AVX-512 F, BW, DQ, VL; needs GPT2_CPU_AVX2 */
#define GPT2_CPU_NEON   0x4u /* aarch64 */
#define GPT2_CPU_ALL    0xffffffffu

/* The groups that this CPU and operating system have, of those above. */
GPT2_API uint32_t gpt2_cpu_features(void);

/* -------------------------------------------------------------------------------------- model -- */

/* Weights and hyper-parameters, and the tokenizer where its files lie beside them. */
typedef struct gpt2_model gpt2_model;

/* Text to token ids and back. */
typedef struct gpt2_tokenizer gpt2_tokenizer;

typedef struct gpt2_model_params {
    uint32_t struct_size; /* set by gpt2_model_params_init() */
    int32_t n_threads;    /* threads that pack weights while loading; 0 (default): one per CPU */
    char *errbuf;         /* optional: receives one line of detail on failure, NUL-terminated */
    size_t errbuf_size;   /* bytes in errbuf */
} gpt2_model_params;

/*
 * gpt2_model_params_init() fills 'params' with the defaults; 'struct_size' is sizeof *params.
 * Returns GPT2_OK, or GPT2_ERR_ARGUMENT for NULL or a size below the first release's.
 */
GPT2_API int32_t gpt2_model_params_init(gpt2_model_params *params, size_t struct_size);

/*
 * gpt2_model_load() reads a Hugging Face directory: config.json and model.safetensors (F32, F16 or
 * BF16), and vocab.json with merges.txt if they are there; without them the model works on ids.
 *
 *   path     borrowed for the call
 *   params   NULL for the defaults
 *   model    receives the model; the caller frees it with gpt2_model_free()
 *
 * Errors: GPT2_ERR_FILE, _FORMAT, _UNSUPPORTED, _MEMORY, _THREAD, _ARGUMENT.
 * The threads it starts have ended when it returns.  The files are not needed afterwards.
 */
GPT2_API int32_t gpt2_model_load(const char *path, const gpt2_model_params *params,
                                 gpt2_model **model);

/* Frees the model and its tokenizer; NULL is ignored.  Its sessions must have been freed before. */
GPT2_API void gpt2_model_free(gpt2_model *model);

#define GPT2_ACT_GELU_NEW          0 /* 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
#define GPT2_ACT_GELU              1 /* 0.5 x (1 + erf(x / sqrt(2))) */
#define GPT2_ACT_GELU_FAST         2 /* 0.5 x (1 + tanh(0.7978845608 x (1 + 0.044715 x^2))) */
#define GPT2_ACT_GELU_PYTORCH_TANH 3 /* the formula of gelu_new, as PyTorch's F.gelu names it */
#define GPT2_ACT_RELU              4 /* max(x, 0) */

#define GPT2_TYPE_F32  0
#define GPT2_TYPE_F16  1
#define GPT2_TYPE_BF16 2

typedef struct gpt2_model_info {
    uint32_t struct_size; /* set by the caller to sizeof(gpt2_model_info) before the call */
    int32_t n_vocab;
    int32_t n_positions; /* the longest context */
    int32_t n_embd;
    int32_t n_layer;
    int32_t n_head;
    int32_t n_inner;     /* width of the MLP */
    int32_t activation;  /* GPT2_ACT_* */
    int32_t tied_head;   /* 1: lm_head is wte; 0: it has weights of its own */
    int32_t weight_type; /* GPT2_TYPE_* of wte in the file; arithmetic is f32 always */
    int32_t eot_token;   /* id of <|endoftext|>, -1 if the model has none */
    float layer_norm_epsilon;
    uint64_t n_parameters; /* numbers in the weights, a tied head counted once */
    uint64_t memory_bytes; /* what the model occupies, its tokenizer not counted */
} gpt2_model_info;

/* Fills 'info' as far as its struct_size reaches.  Errors: GPT2_ERR_ARGUMENT. */
GPT2_API int32_t gpt2_model_get_info(const gpt2_model *model, gpt2_model_info *info);

/*
 * The model's tokenizer, borrowed: it lives as long as the model.  NULL if the model has none.
 * Models may have more ids than their tokenizer; these decode to nothing.
 */
GPT2_API const gpt2_tokenizer *gpt2_model_tokenizer(const gpt2_model *model);

/* ---------------------------------------------------------------------------------- tokenizer -- */

typedef struct gpt2_tokenizer_params {
    uint32_t struct_size; /* set by gpt2_tokenizer_params_init() */
    uint32_t reserved;    /* 0 */
    char *errbuf;         /* optional: receives one line of detail on failure, NUL-terminated */
    size_t errbuf_size;   /* bytes in errbuf */
} gpt2_tokenizer_params;

/* As gpt2_model_params_init(). */
GPT2_API int32_t gpt2_tokenizer_params_init(gpt2_tokenizer_params *params, size_t struct_size);

/*
 * gpt2_tokenizer_load() reads vocab.json and merges.txt from the directory 'path'; other files
 * need not be there.  'tokenizer' receives it; the caller frees it with gpt2_tokenizer_free().
 * Errors: GPT2_ERR_FILE, _FORMAT, _MEMORY, _ARGUMENT.
 */
GPT2_API int32_t gpt2_tokenizer_load(const char *path, const gpt2_tokenizer_params *params,
                                     gpt2_tokenizer **tokenizer);

/* Frees a tokenizer of gpt2_tokenizer_load(), never one borrowed from a model; NULL is ignored. */
GPT2_API void gpt2_tokenizer_free(gpt2_tokenizer *tokenizer);

/* One more than the largest token id; 0 for NULL. */
GPT2_API int32_t gpt2_tokenizer_n_vocab(const gpt2_tokenizer *tokenizer);

/* The id of <|endoftext|>, or -1 if the vocabulary has none. */
GPT2_API int32_t gpt2_tokenizer_eot(const gpt2_tokenizer *tokenizer);

/*
 * gpt2_tokenizer_token_bytes() stores where the bytes of token 'id' lie; they are not NUL-terminated and need
 * not be whole UTF-8 characters.  Borrowed: valid as long as the tokenizer.  An id that the
 * vocabulary leaves out has no bytes; '*bytes' is then not NULL.  Ids are valid below
 * gpt2_tokenizer_n_vocab(), and for a model's tokenizer below the model's n_vocab if that is more.
 * Errors: GPT2_ERR_TOKEN, _ARGUMENT.
 */
GPT2_API int32_t gpt2_tokenizer_token_bytes(const gpt2_tokenizer *tokenizer, int32_t id,
                                            const char **bytes, size_t *n_bytes);

/*
 * gpt2_decode() writes the bytes of 'n_ids' tokens one after another, without a NUL.
 * '*n_bytes' receives how many bytes they are, also when GPT2_ERR_BUFFER says that 'capacity' is
 * too small (then 'text' is not to be read; it may be NULL if 'capacity' is 0).
 * decode(encode(x)) == x for every x, UTF-8 or not.  Errors: GPT2_ERR_BUFFER, _TOKEN, _ARGUMENT.
 */
GPT2_API int32_t gpt2_decode(const gpt2_tokenizer *tokenizer, const int32_t *ids, size_t n_ids,
                             char *text, size_t capacity, size_t *n_bytes);

/* Between the calls of gpt2_decode_part(): {0} at the beginning of a text. */
typedef struct gpt2_decode_state {
    uint32_t n_held; /* 0 to 3 */
    uint8_t held[4]; /* the first bytes of a character whose others are to come */
} gpt2_decode_state;

/* For 'flags' of gpt2_decode_part(): more tokens follow. */
#define GPT2_DECODE_MORE 0x1u

/*
 * gpt2_decode_part() is gpt2_decode() for tokens that come one by one, or a few at a time.  With
 * GPT2_DECODE_MORE it writes whole UTF-8 characters: the bytes of an unfinished one, at most 3, wait
 * in 'state' for the next call.  A call without the flag (n_ids may be 0) writes all that is left and
 * makes 'state' ready for another text.
 *
 *     while (generate(&id))
 *         gpt2_decode_part(tokenizer, &state, &id, 1, GPT2_DECODE_MORE, text, sizeof text, &n_bytes);
 *     gpt2_decode_part(tokenizer, &state, NULL, 0, 0, text, sizeof text, &n_bytes);
 *
 * All that is written makes the text of gpt2_decode(); bytes that can become no character are written
 * as they are.  The tokens' own bytes and 3 more always suffice for 'capacity'; what 'text' holds
 * behind '*n_bytes' is not to be read.  A call that fails leaves 'state' as it was; one that returns
 * GPT2_OK has taken its tokens, also where it wrote nothing yet.
 * Errors: GPT2_ERR_BUFFER ('*n_bytes' receives the capacity it needs), _TOKEN, _ARGUMENT.
 */
GPT2_API int32_t gpt2_decode_part(const gpt2_tokenizer *tokenizer, gpt2_decode_state *state,
                                  const int32_t *ids, size_t n_ids, uint32_t flags, char *text,
                                  size_t capacity, size_t *n_bytes);

/* The workspace of encoding: as many encoders as threads that encode, over one tokenizer. */
typedef struct gpt2_encoder gpt2_encoder;

typedef struct gpt2_encoder_params {
    uint32_t struct_size;   /* set by gpt2_encoder_params_init() */
    uint32_t reserved;      /* 0 */
    size_t max_piece_bytes; /* longest piece of text, such as one word or one run of
                                 spaces, that can be encoded; default 65536.  The length of a text
                                 is always enough for it.  Memory: about 19 bytes for each. */
    char *errbuf;           /* optional: receives one line of detail on failure */
    size_t errbuf_size;     /* bytes in errbuf */
} gpt2_encoder_params;

/* As gpt2_model_params_init(). */
GPT2_API int32_t gpt2_encoder_params_init(gpt2_encoder_params *params, size_t struct_size);

/*
 * gpt2_encoder_create() makes an encoder over 'tokenizer', which must outlive it.
 * The caller frees it with gpt2_encoder_free().  Errors: GPT2_ERR_MEMORY, _ARGUMENT.
 */
GPT2_API int32_t gpt2_encoder_create(const gpt2_tokenizer *tokenizer,
                                     const gpt2_encoder_params *params, gpt2_encoder **encoder);

/*
 * The same in the caller's memory: gpt2_encoder_size() stores how many bytes an encoder of these
 * params needs with this library, and gpt2_encoder_init() makes it in 'memory', of 'memory_bytes'
 * bytes, at any alignment and with any content.  The memory stays where it is while the encoder is in
 * use; gpt2_encoder_free() then frees nothing and need not be called.
 * Errors: GPT2_ERR_BUFFER (memory_bytes is too small), _MEMORY (more than an address space holds),
 * _ARGUMENT.
 */
GPT2_API int32_t gpt2_encoder_size(const gpt2_encoder_params *params, size_t *n_bytes);
GPT2_API int32_t gpt2_encoder_init(const gpt2_tokenizer *tokenizer,
                                   const gpt2_encoder_params *params, void *memory,
                                   size_t memory_bytes, gpt2_encoder **encoder);

/* NULL is ignored. */
GPT2_API void gpt2_encoder_free(gpt2_encoder *encoder);

/* One line about the last call on this encoder if it failed, else ""; valid until the next. */
GPT2_API const char *gpt2_encoder_error(const gpt2_encoder *encoder);

/*
 * Forgets the parts of a text that has not ended: to be called before another text, if a part of this
 * one failed with GPT2_ERR_PIECE or _TOKEN or will not come.  Errors: GPT2_ERR_ARGUMENT.
 */
GPT2_API int32_t gpt2_encoder_reset(gpt2_encoder *encoder);

/* For 'flags' of gpt2_encode(). */
#define GPT2_ENCODE_SPECIAL 0x1u /* "<|endoftext|>" is that one token, not 13 characters */
#define GPT2_ENCODE_MORE    0x2u /* the text goes on in the next call */

/*
 * gpt2_encode() turns text into token ids, the ids of GPT-2's byte-level BPE.
 *
 *   text      'n_bytes' bytes of any content, UTF-8 or not, NULs included; NULL if n_bytes is 0
 *   ids       receives up to 'capacity' ids; n_bytes of them always suffice for a whole text
 *   n_ids     receives how many ids there are, also when it fails with GPT2_ERR_BUFFER
 *             (then 'ids' is not to be read; it may be NULL if 'capacity' is 0: a count)
 *
 * A long text may come in parts, cut anywhere: all with GPT2_ENCODE_MORE but the last, which may be
 * empty, and with the same other flags.
 *
 *     while ((n_bytes = fread(text, 1, sizeof text, file)) > 0)
 *         gpt2_encode(encoder, text, n_bytes, GPT2_ENCODE_MORE, ids, capacity, &n_ids);
 *     gpt2_encode(encoder, NULL, 0, 0, ids, capacity, &n_ids);
 *
 * The encoder holds back the end of a part, fewer than max_piece_bytes + 64 bytes, so that a call
 * may give no ids, or up to n_bytes + max_piece_bytes + 64.  The ids of all calls together are those
 * of the whole text.  A call that fails has taken nothing: with more room, the same call gives its
 * ids.  A call that returns GPT2_OK has taken its part, also where 'capacity' is 0.
 *
 * Where the vocabulary has no <|endoftext|>, GPT2_ENCODE_SPECIAL does nothing.
 * Time grows as n log n at worst, whatever the bytes.  Does not allocate.
 * Errors: GPT2_ERR_BUFFER, _PIECE, _TOKEN (the vocabulary has no token for a byte), _ARGUMENT.
 */
GPT2_API int32_t gpt2_encode(gpt2_encoder *encoder, const char *text, size_t n_bytes,
                             uint32_t flags, int32_t *ids, size_t capacity, size_t *n_ids);

/* ------------------------------------------------------------------------------------ session -- */

/* One text being read and written: its KV cache, the workspace of a forward pass, its threads. */
typedef struct gpt2_session gpt2_session;

/*
 * The host's own pool: it calls worker(argument, i) once for each i in [0, n_workers), on any threads,
 * in any order, at the same time or one after another, and returns when all of them have returned.
 * No worker waits for another.  Work that is not done then, because the host ran fewer of them, is
 * done by the caller.  With OpenMP:
 *
 *     #pragma omp parallel for schedule(static, 1)
 *     for (int32_t i = 0; i < n_workers; i++)
 *         worker(argument, i);
 *
 * Runs, many times in each gpt2_forward(), on the thread that called that, in the floating-point
 * state of that call; workers enter and leave the library's.  It must not call functions on its
 * session, but gpt2_session_cancel(), and it must return, as a gpt2_tap_callback.
 */
typedef void (*gpt2_parallel_for)(void *user, int32_t n_workers,
                                  void (*worker)(void *argument, int32_t index), void *argument);

typedef struct gpt2_session_params {
    uint32_t struct_size; /* set by gpt2_session_params_init() */
    uint32_t cpu_mask;    /* GPT2_CPU_* groups the kernels may use; default GPT2_CPU_ALL */
    int32_t n_threads;    /* 1..256, the caller's included; 0: one per CPU; default 1 */
    int32_t n_ctx;        /* positions the text may reach; the model's n_positions if that is less,
                             or if this is 0 (default); gpt2_session_n_ctx() tells */
    int32_t n_batch;      /* rows of one internal step, 1..65536; default 256 */
    int32_t n_logit_rows; /* most rows of logits kept by one gpt2_forward(), default 1; as many as
                             the context has positions if it is more */
    char *errbuf;         /* optional: receives one line of detail on failure */
    size_t errbuf_size;   /* bytes in errbuf */
    gpt2_parallel_for parallel_for; /* optional: runs up to n_threads workers, never with 1; the
                                       session then starts no threads */
    void *parallel_for_user;        /* what parallel_for gets */
} gpt2_session_params;

/* As gpt2_model_params_init(). */
GPT2_API int32_t gpt2_session_params_init(gpt2_session_params *params, size_t struct_size);

/*
 * gpt2_session_create() makes a session over 'model', which must outlive it: one allocation, and
 * n_threads - 1 threads, unless there is a parallel_for.  They sleep while the session is idle; a call
 * wakes no more of them than there were CPUs for when it was made.
 * The caller frees it with gpt2_session_free().  Errors: GPT2_ERR_MEMORY, _THREAD, _ARGUMENT.
 */
GPT2_API int32_t gpt2_session_create(const gpt2_model *model, const gpt2_session_params *params,
                                     gpt2_session **session);

/*
 * The same in the caller's memory: gpt2_session_size() stores how many bytes a session of these
 * params needs with this library, and gpt2_session_init() makes it in 'memory', of 'memory_bytes'
 * bytes, at any alignment and with any content.  The memory stays where it is while the session is in
 * use, and must not be used again before gpt2_session_free(), which ends the threads and leaves the
 * memory to the caller.  If n_threads is 0, the size depends on the CPUs there are at that moment.
 * Errors: GPT2_ERR_BUFFER (memory_bytes is too small), _MEMORY (more than an address space holds),
 * _THREAD, _ARGUMENT.
 */
GPT2_API int32_t gpt2_session_size(const gpt2_model *model, const gpt2_session_params *params,
                                   size_t *n_bytes);
GPT2_API int32_t gpt2_session_init(const gpt2_model *model, const gpt2_session_params *params,
                                   void *memory, size_t memory_bytes, gpt2_session **session);

/* Ends the threads and frees the session; NULL is ignored. */
GPT2_API void gpt2_session_free(gpt2_session *session);

/* Starts a new, empty text, and takes back a gpt2_session_cancel() that has ended no call yet. */
GPT2_API int32_t gpt2_session_reset(gpt2_session *session);

/* Positions filled so far, which is also the position of the next token; 0 for NULL. */
GPT2_API int32_t gpt2_session_position(const gpt2_session *session);

/* Positions the text may reach; 0 for NULL. */
GPT2_API int32_t gpt2_session_n_ctx(const gpt2_session *session);

/* The kernels in use: "scalar", "avx2", "avx512" or "neon"; "" for NULL. */
GPT2_API const char *gpt2_session_kernels(const gpt2_session *session);

/* One line about the last call on this session if it failed, else ""; valid until the next. */
GPT2_API const char *gpt2_session_error(const gpt2_session *session);

/*
 * gpt2_session_cancel() makes the gpt2_forward() that is running, or else the next one, return
 * GPT2_ERR_CANCELLED soon.  The one call that any thread, or a signal handler, may make on a session
 * in use.
 */
GPT2_API void gpt2_session_cancel(gpt2_session *session);

/* The monotonic clock that deadlines are read on (CLOCK_MONOTONIC), in nanoseconds. */
GPT2_API uint64_t gpt2_clock_ns(void);

/*
 * From now on a gpt2_forward() that runs when gpt2_clock_ns() has reached 'deadline_ns' returns
 * GPT2_ERR_DEADLINE soon; 0 takes the deadline away.
 */
GPT2_API int32_t gpt2_session_set_deadline(gpt2_session *session, uint64_t deadline_ns);

/*
 * To be called in the child of fork(), where the session's threads do not exist, before any other
 * call: the child's copy forgets them and runs on one thread.  Sessions of one thread need no call.
 */
GPT2_API int32_t gpt2_session_after_fork(gpt2_session *session);

/*
 * gpt2_forward() appends tokens to the session's text and runs them through the model.
 *
 *   tokens        borrowed for the call, each in [0, n_vocab)
 *   n_tokens      1 or more; a text without a prompt begins with <|endoftext|>, the model's eot_token
 *   n_logit_rows  logits are computed and kept for the last so many of these tokens: 1 to choose the
 *                 next token, n_tokens to score a text, 0 for none; larger than n_tokens: all.
 *                 At most the session's n_logit_rows.
 *
 * Errors: GPT2_ERR_TOKEN, _CONTEXT, _ARGUMENT, _CANCELLED, _DEADLINE; the text stays as it was, and
 * so do the logits unless the pass had begun.
 */
GPT2_API int32_t gpt2_forward(gpt2_session *session, const int32_t *tokens, size_t n_tokens,
                              size_t n_logit_rows);

#define GPT2_LAST_ROW (-1)

/*
 * gpt2_session_logits() stores in '*logits' where the n_vocab logits of one row lie.
 * 'row' counts the tokens of the last gpt2_forward() from 0, or is GPT2_LAST_ROW.
 * The kept rows lie one after another, n_vocab floats each; they are the session's, valid until its
 * next call that is not gpt2_session_logits().
 * Errors: GPT2_ERR_ROW if those logits were not asked for, _ARGUMENT.
 */
GPT2_API int32_t gpt2_session_logits(gpt2_session *session, int32_t row, const float **logits);

typedef struct gpt2_sample_params {
    uint32_t struct_size; /* set by gpt2_sample_params_init() */
    float temperature; /* >= 0; below 1e-6: the largest logit, the lowest id on ties; default 1 */
    int32_t top_k;     /* keep the k largest logits; 0 (default): all */
    float top_p;       /* keep the smallest set of the likeliest tokens whose probabilities reach
                             top_p, at least one; 1 (default): all */
    uint64_t seed;     /* key of the random numbers; default 0 */
    uint64_t stream;   /* a second key, for several texts with one seed; default 0 */
    int64_t position;  /* index in the whole text of the token to draw, for a text that has been
                             cut at its front; -1 (default): the row's own position + 1 */
} gpt2_sample_params;

/* As gpt2_model_params_init(). */
GPT2_API int32_t gpt2_sample_params_init(gpt2_sample_params *params, size_t struct_size);

/*
 * gpt2_sample() draws a token from softmax(logits / temperature) of one row, cut to top_k and then
 * to top_p, in the order and meaning of Hugging Face's generate().  'row' as in
 * gpt2_session_logits().  One (seed, stream, position) always draws the same number, so a text can
 * be reproduced from the middle.
 *
 *   params   NULL for the defaults
 *   id       receives the token
 *
 * Does not change the text: pass the id to gpt2_forward() for that.
 * Errors: GPT2_ERR_ROW, _NONFINITE, _ARGUMENT.
 */
GPT2_API int32_t gpt2_sample(gpt2_session *session, int32_t row, const gpt2_sample_params *params,
                             int32_t *id);

/* --------------------------------------------------------------------------------------- taps -- */

/*
 * Points inside the forward pass where a caller can read, and change, the activations.  t is the
 * number of new tokens, past the positions before them.
 */
#define GPT2_TAP_EMBED    0 /* embed             [t, n_embd]     wte[id] + wpe[position] */
#define GPT2_TAP_LN_1     1 /* h.N.ln_1          [t, n_embd]     first norm */
#define GPT2_TAP_ATTN_QKV 2 /* h.N.attn.qkv      [t, 3 n_embd]   c_attn: q, k, v side by side */
#define GPT2_TAP_ATTN_SCORES \
    3 /* h.N.attn.scores   [n_head, t, past + t]   q.k scaled, -inf masked */
#define GPT2_TAP_ATTN_PROBS 4  /* h.N.attn.probs    [n_head, t, past + t]   softmax of the scores */
#define GPT2_TAP_ATTN_CTX   5  /* h.N.attn.ctx      [t, n_embd]     probs.v, heads side by side */
#define GPT2_TAP_ATTN_OUT   6  /* h.N.attn.out      [t, n_embd]     c_proj, before the residual */
#define GPT2_TAP_LN_2       7  /* h.N.ln_2          [t, n_embd]     second norm */
#define GPT2_TAP_MLP_FC     8  /* h.N.mlp.fc        [t, n_inner]    c_fc */
#define GPT2_TAP_MLP_ACT    9  /* h.N.mlp.act       [t, n_inner]    its activation function */
#define GPT2_TAP_MLP_OUT    10 /* h.N.mlp.out       [t, n_embd]     c_proj, before the residual */
#define GPT2_TAP_BLOCK      11 /* h.N.block         [t, n_embd]     the block's output */
#define GPT2_TAP_LN_F       12 /* ln_f              [t, n_embd]     final norm */
#define GPT2_TAP_LOGITS     13 /* logits            [t, n_vocab]    ln_f . lm_head */
#define GPT2_TAP_COUNT      14

#define GPT2_TAP_BIT(kind) (1u << (kind))
#define GPT2_TAP_ALL       0x3fffu

/*
 * One piece of an activation.  Rows are tokens; a step of n_batch rows makes one piece, the scores
 * and probs of one head come in pieces of at most 64 rows.  ln_f and logits come for the rows whose
 * logits were asked for.
 */
typedef struct gpt2_tap {
    uint32_t struct_size;   /* what this library knows: more fields may follow in a newer one */
    int32_t kind;           /* GPT2_TAP_* */
    int32_t layer;          /* from 0; -1 for embed, ln_f and logits */
    int32_t head;           /* from 0 for scores and probs; else -1 */
    int32_t first_row;      /* the piece's first token, counted in this gpt2_forward() */
    int32_t first_position; /* the same token's position in the text */
    int32_t n_rows;
    int32_t n_columns; /* for scores and probs: first_position + n_rows; every later column is
                               masked for every row of the piece */
    size_t row_stride; /* floats from one row to the next */
    float *data;       /* [n_rows, n_columns], valid during the callback; may be changed */
} gpt2_tap;

/*
 * Runs on the thread that called gpt2_forward(), in the floating-point state of that call.
 * Non-zero ends the call with GPT2_ERR_CANCELLED.  It must return: no C++ exception, Rust panic or
 * longjmp() may leave it.
 */
typedef int32_t (*gpt2_tap_callback)(void *user, const gpt2_tap *tap);

/*
 * gpt2_session_set_tap() calls 'callback' at every point whose GPT2_TAP_BIT is in 'kinds', from the
 * next gpt2_forward() on; NULL or 0 switches taps off, and then they cost nothing.  A callback that
 * changes nothing changes no bit of any result.  It must not call functions on its session.
 * Errors: GPT2_ERR_ARGUMENT.
 */
GPT2_API int32_t gpt2_session_set_tap(gpt2_session *session, gpt2_tap_callback callback, void *user,
                                      uint32_t kinds);

/*
 * gpt2_tap_name() writes the name of a point, such as "h.3.attn.qkv", with its NUL: 32 bytes are
 * always enough.  'layer' is ignored for points outside the blocks.
 * Errors: GPT2_ERR_ARGUMENT, _BUFFER.
 */
GPT2_API int32_t gpt2_tap_name(int32_t kind, int32_t layer, char *name, size_t capacity);

#ifdef __cplusplus
}
#endif

#endif
