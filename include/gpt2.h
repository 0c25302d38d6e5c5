/*
 * libgpt2: GPT-2 inference for C programs.
 *
 *     gpt2_model *model;
 *     gpt2_session *session;
 *     gpt2_model_load("path/to/gpt2", NULL, &model);       weights, read-only, shared
 *     gpt2_session_create(model, NULL, &session);          one text: its KV cache and workspace
 *     gpt2_forward(session, ids, n_ids, 1);                run tokens, keep the last logits
 *     gpt2_sample(session, GPT2_LAST_ROW, NULL, &id);      choose the next token
 *
 * Rules that hold for every function here:
 *
 *   Errors    A function that can fail returns GPT2_OK or a negative status whose number never
 *             changes.  Calls that create an object write one line of detail to the buffer named in
 *             their params.  After later calls, gpt2_session_error() or gpt2_encoder_error()
 *             returns the line.  A call that fails leaves its object as it was before.  It sets its
 *             out-parameters to NULL or 0 unless its comment says otherwise, and nothing stays
 *             allocated.  The library never aborts, exits, prints, or reads the environment.
 *   Threads   A model and a tokenizer are immutable: any number of threads may use one.  A session
 *             and an encoder belong to one thread at a time; gpt2_session_cancel() is the
 *             exception.
 *   Memory    Functions that load, create or free use the system: they allocate, read files or
 *             start threads.  gpt2_session_size() and _init() may count CPUs; gpt2_session_init()
 *             may start threads.  No other function allocates, opens files or starts threads, and
 *             on one thread or with a parallel_for none makes a system call.
 *             Every call needs less than 12 KB of stack, besides what the host's callbacks need.
 *   Numbers   The same inputs give the same bits on every CPU, with every number of threads and
 *             however the tokens are split into calls.  docs/numerics.md says how.
 *   Growth    Params and info structs begin with struct_size and grow only at their end.  Set them
 *             up with their _init function.  docs/abi.md says what may change and what never does.
 *
 * Shapes are written [rows, columns], row-major.  Everything is available since 0.1 unless a
 * comment says otherwise.  Every function that takes a params struct may also return
 * GPT2_ERR_UNSUPPORTED: the struct is from a newer header, and a field is set that this library
 * does not know.
 */
#ifndef GPT2_H
#define GPT2_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* On Windows define GPT2_BUILD_DLL to build the library as a DLL, GPT2_DLL to use it as one. */
#if defined(_WIN32) && defined(GPT2_BUILD_DLL)
#define GPT2_API __declspec(dllexport)
#elif defined(_WIN32) && defined(GPT2_DLL)
#define GPT2_API __declspec(dllimport)
#elif defined(__GNUC__) && !defined(_WIN32)
#define GPT2_API __attribute__((visibility("default")))
#else
#define GPT2_API
#endif

#define GPT2_VERSION_MAJOR 0
#define GPT2_VERSION_MINOR 1
#define GPT2_VERSION_PATCH 0

/* The version of the library in use, such as "0.1.0".  It may be newer than this header. */
GPT2_API const char *gpt2_version(void);

/* ------------------------------------------------------------------------------------ status -- */

#define GPT2_OK 0

/* The call or its arguments are wrong: correct the program. */
#define GPT2_ERR_ARGUMENT (-1) /* NULL, out of range, or a struct_size this library cannot accept */
#define GPT2_ERR_TOKEN    (-2) /* a token id outside the vocabulary, or a byte without a token */
#define GPT2_ERR_CONTEXT  (-3) /* the tokens do not fit into the session's context */
#define GPT2_ERR_ROW      (-4) /* the last forward call did not keep this row's logits */
#define GPT2_ERR_BUFFER   (-5) /* a buffer is too small */
#define GPT2_ERR_PIECE    (-6) /* a piece of text is longer than the encoder was made for */
#define GPT2_ERR_SEQUENCE (-7) /* a sequence that is not open, or all of them are */
#define GPT2_ERR_PAGES    (-8) /* too few free KV cache pages: close or truncate a sequence */
#define GPT2_ERR_STATE    (-9) /* a saved state is damaged, or of another model or type */

/* The machine lacks resources: free some, or ask for less. */
#define GPT2_ERR_MEMORY (-20) /* out of memory */
#define GPT2_ERR_THREAD (-21) /* a thread could not be started */

/* The files are not usable: the line names the file, what was found and what was wanted. */
#define GPT2_ERR_FILE   (-40) /* cannot be opened or read */
#define GPT2_ERR_FORMAT (-41) /* damaged, or not the format it should be */

/* Well-formed, but this library cannot run it correctly: a variant of the model in a file, a weight
   too large for the weight_type, or a field of a newer params struct. */
#define GPT2_ERR_UNSUPPORTED (-42)

/* The call was ended early. */
#define GPT2_ERR_CANCELLED (-60) /* by gpt2_session_cancel() or by a tap */
#define GPT2_ERR_DEADLINE  (-61) /* the deadline of gpt2_session_set_deadline() has passed */

/* Sampling or scoring is not possible: some logit is NaN or +infinity, all are -infinity, or a
   logit divided by the temperature is outside the range of float. */
#define GPT2_ERR_NONFINITE (-80)

/* A good size for an errbuf: only lines with very long paths are cut short. */
#define GPT2_ERRBUF_BYTES 1024

/* A sentence for any status, never NULL, even for numbers that this library does not know. */
GPT2_API const char *gpt2_strerror(int32_t status);

/* --------------------------------------------------------------------------------------- CPU -- */

/* Groups of CPU features that kernels use.  They change the speed, never the results. */
#define GPT2_CPU_AVX2        0x1u  /* x86-64: AVX2, FMA, F16C */
#define GPT2_CPU_AVX512      0x2u  /* x86-64: AVX-512 F, BW, DQ, VL; needs GPT2_CPU_AVX2 */
#define GPT2_CPU_NEON        0x4u  /* aarch64 */
#define GPT2_CPU_AVX512_VNNI 0x8u  /* x86-64: needs GPT2_CPU_AVX512 */
#define GPT2_CPU_AVX_VNNI    0x10u /* x86-64: needs GPT2_CPU_AVX2 */
#define GPT2_CPU_DOTPROD     0x20u /* aarch64: needs GPT2_CPU_NEON */
#define GPT2_CPU_ALL         0xffffffffu

/* Which of these groups the CPU and the operating system support. */
GPT2_API uint32_t gpt2_cpu_features(void);

/* ----------------------------------------------------------------------------------- sources -- */

/*
 * Reads bytes of a source: up to 'capacity' of them, from 'offset' on, into 'bytes'.  '*n_read'
 * receives how many; fewer than 'capacity' is no error, the rest is asked for again; 0 is an early
 * end.  Non-zero ends the load with GPT2_ERR_FILE.  It is called by the threads that load: with
 * n_threads 1, the default, by the calling thread alone, in whose floating-point state it runs.  It
 * must return, as a gpt2_tap_callback.
 */
typedef int32_t (*gpt2_read_callback)(void *user, uint64_t offset, void *bytes, size_t capacity,
                                      size_t *n_read);

/*
 * A file of a model that is not in a directory: its bytes in memory, or a callback that reads them.
 * The library borrows it for the call that loads.  A native file whose bytes begin at a multiple of
 * 64 is used where it is: it must stay there, unchanged, until the model is freed, unless
 * GPT2_FILE_READ asks for a copy.  This struct never changes.
 */
typedef struct gpt2_source {
    const char *name;  /* "config.json", "model.safetensors" or "pytorch_model.bin";
                          "tokenizer.json" or "vocab.json" and "merges.txt", with
                          "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json";
                          or "r50k_base.tiktoken"; or "native.safetensors", a native file, beside
                          which others do not count; or "model.gguf", beside which config.json
                          does not count.  Instead of the weights "model.safetensors.index.json"
                          or "pytorch_model.bin.index.json": then the shards too, under the names
                          that it gives them; or "ckpt.pt", "model.pt", "model.bin": see
                          gpt2_model_load() */
    const void *bytes; /* [n_bytes]; or NULL: 'read' gives them */
    uint64_t n_bytes;
    gpt2_read_callback read; /* NULL if 'bytes' is not */
    void *user;              /* what 'read' gets */
} gpt2_source;

/* ------------------------------------------------------------------------------------- model -- */

/* Weights and hyper-parameters, and the tokenizer if its files are there. */
typedef struct gpt2_model gpt2_model;

/* Text to token ids and back. */
typedef struct gpt2_tokenizer gpt2_tokenizer;

/*
 * Tells how many bytes of the weights have been read, about once a megabyte; in the last call
 * 'n_bytes_done' is 'n_bytes_total'.  Runs on the thread that called the load, in the
 * floating-point state of the caller.  Non-zero ends the load with GPT2_ERR_CANCELLED.  It must
 * return, as a gpt2_tap_callback.
 */
typedef int32_t (*gpt2_progress_callback)(void *user, uint64_t n_bytes_done,
                                          uint64_t n_bytes_total);

/*
 * Receives bytes of a file or a state, in order; it borrows them for the call.  Non-zero ends the
 * writing with GPT2_ERR_CANCELLED.  It must not call functions on its session.  It must return, as
 * a gpt2_tap_callback.
 */
typedef int32_t (*gpt2_write_callback)(void *user, const void *bytes, size_t n_bytes);

/* Types of numbers in a file or in memory. */
#define GPT2_TYPE_AS_FILE (-1) /* of gpt2_model_params: a matrix's type in the file; F32 for F64 */
#define GPT2_TYPE_F32     0
#define GPT2_TYPE_F16     1
#define GPT2_TYPE_BF16    2
#define GPT2_TYPE_Q8      3 /* 8 bits, an F16 scale for each 32; in GGUF files Q8_0 */
#define GPT2_TYPE_Q4      4 /* likewise, 4 bits a weight; in GGUF files IQ4_NL */
#define GPT2_TYPE_F64     5 /* in files only: each number is rounded to the nearest F32 */
#define GPT2_TYPE_Q4_0    6 /* in GGUF files only: as Q4 in memory, with the same numbers */
#define GPT2_TYPE_Q4_1    7 /* in GGUF files only, as those that follow; Q8 in memory */
#define GPT2_TYPE_Q5_0    8
#define GPT2_TYPE_Q5_1    9
#define GPT2_TYPE_Q4_K    10
#define GPT2_TYPE_Q5_K    11
#define GPT2_TYPE_Q6_K    12

/* How a native file is opened. */
#define GPT2_FILE_MAP  0 /* in place: mapped, or used in the caller's memory */
#define GPT2_FILE_READ 1 /* copied into memory, and its checksum compared */

typedef struct gpt2_model_params {
    uint32_t struct_size; /* set by gpt2_model_params_init() */
    int32_t n_threads;    /* 1..256 threads that load, the caller's included; 0: one per CPU;
                             default 1 */
    char *errbuf;         /* optional: receives one line of detail on failure, NUL-terminated */
    size_t errbuf_size;   /* bytes in errbuf */
    gpt2_progress_callback progress; /* optional */
    void *progress_user;             /* what 'progress' gets */
    int32_t weight_type;             /* GPT2_TYPE_* of the weight matrices in memory, wte's too;
                                        default GPT2_TYPE_AS_FILE.  F16 and BF16 take half of the
                                        memory of F32.  One text then runs up to twice as fast with
                                        AVX2 or NEON, many rows as fast as with F32.  A file's F16
                                        or BF16 gives the same logits in its own type as in F32.
                                        Any other change rounds each weight to the nearest, and
                                        fails with GPT2_ERR_UNSUPPORTED where a finite one is too
                                        large.  Q8 takes about a quarter of the memory of F32, Q4
                                        about a fifth, and one text runs up to 3.7 and 5 times as
                                        fast.  Both round activations, too; docs/quantization.md
                                        has what that costs.  They fail where a weight is not
                                        finite or beyond 2^22.  Positions, norms and biases are
                                        always F32 */
    int32_t file_access;             /* GPT2_FILE_* of a native file; default GPT2_FILE_MAP.  While
                                        a file is mapped no process may cut it short: reading what
                                        is gone ends the host with SIGBUS.  Replace a file by a new
                                        one of its name instead */
    int32_t shortlist;               /* 1: keeps an 8-bit copy of an F32 lm_head, too, with which
                                        generators find the likeliest tokens: docs/performance.md.
                                        None is kept of a head of another type, or with a weight
                                        that is not finite or beyond 2^22.  A native file has the
                                        copy if its model had.  Default 0 */
    int32_t reserved;                /* 0 */
} gpt2_model_params;

/*
 * gpt2_model_params_init() fills 'params' with the defaults; 'struct_size' is sizeof *params.
 * Returns GPT2_OK, or GPT2_ERR_ARGUMENT for NULL or a size below the first release's.
 */
GPT2_API int32_t gpt2_model_params_init(gpt2_model_params *params, size_t struct_size);

/*
 * gpt2_model_load() reads a Hugging Face directory: config.json and model.safetensors (F64, F32,
 * F16 or BF16), and a tokenizer's, as gpt2_tokenizer_load(), if they are there; without them the
 * model works on ids.  So it does where the tokenizer is of a kind that is not supported:
 * gpt2_model_tokenizer_error() says why.  Or it opens a native file, which has all of these, in
 * milliseconds: nothing is copied or computed.
 *
 * Where model.safetensors is missing, the weights come from the shards, up to 128 files of the same
 * directory, that model.safetensors.index.json names; else from pytorch_model.bin, the tensors of a
 * state_dict as torch.save() wrote them, or from the shards of pytorch_model.bin.index.json.
 * All shards are open while the model loads.  Then come the files of other programs, which tell the
 * sizes themselves: "ckpt.pt" is a checkpoint of nanoGPT, run with gelu as nanoGPT has had it since
 * May 2023; "model.pt" is minGPT's, whose config.json tells the heads; "model.bin" is a model of
 * llm.c, version 3 or 5; "model.gguf" is GGUF of llama.cpp: docs/api.md says what of it is read.
 * No code of a pickle runs.
 *
 *   path     of the directory, the native file or a GGUF file; or of another file of weights, under
 *            any name, but for model.safetensors and indices of shards: the others are read from
 *            its directory.  "x.pt" is nanoGPT's.  Borrowed for the call
 *   params   NULL for the defaults
 *   model    receives the model; the caller frees it with gpt2_model_free()
 *
 * Errors: GPT2_ERR_FILE, _FORMAT, _UNSUPPORTED, _MEMORY, _THREAD, _CANCELLED, _ARGUMENT.
 * The threads it starts have ended when it returns.  The files are not needed afterwards, but for a
 * native file that is mapped.
 */
GPT2_API int32_t gpt2_model_load(const char *path, const gpt2_model_params *params,
                                 gpt2_model **model);

/*
 * gpt2_model_load_sources() is gpt2_model_load() without a directory: the files are 'n_sources'
 * blocks of memory or callbacks, in any order.  Opens no file.  Errors: those of gpt2_model_load().
 */
GPT2_API int32_t gpt2_model_load_sources(const gpt2_source *sources, size_t n_sources,
                                         const gpt2_model_params *params, gpt2_model **model);

/*
 * gpt2_model_write() gives a file of a model to 'write', in parts of any size.  'name' chooses it:
 *
 *   "native.safetensors"  a native file: config, tokenizer, and the weights as they lie in memory,
 *                         with the types that they have there
 *   "model.safetensors"   the weights as transformers reads them, with their types in memory; those
 *                         of 8 and 4 bits as F32
 *   "config.json", "tokenizer.json", "tokenizer_config.json"
 *                         what belongs to it
 *   "model.gguf"          config, tokenizer and weights for llama.cpp, with their types in memory.
 *                         What llama.cpp would run as another model is refused: activations but for
 *                         gelu_new, other scales of attention, other rules of the tokenizer
 *
 * Models of the same numbers and types have the same files.  'errbuf' is as in gpt2_decode().
 * Errors: GPT2_ERR_CANCELLED, _MEMORY, _UNSUPPORTED (what the file cannot say; a native file on a
 * big-endian CPU), _ARGUMENT.
 */
GPT2_API int32_t gpt2_model_write(const gpt2_model *model, const char *name,
                                  gpt2_write_callback write, void *user, char *errbuf,
                                  size_t errbuf_size);

/*
 * gpt2_model_tensor() reads a weight back: the numbers that the model computes with, as floats, row
 * by row.  Quantised ones are scale times integer; biases that the files lack are zeros.
 *
 *   name      Hugging Face's, with or without "transformer.": "wte.weight" [n_vocab, n_embd],
 *             "wpe.weight" [n_positions, n_embd], "h.0.attn.c_attn.weight" [n_embd, 3 n_embd],
 *             "h.0.mlp.c_proj.bias" [n_embd] ...; "lm_head.weight" is wte where they are tied.
 *             In a GPTBigCode the matrices of the blocks are [outputs, inputs], as in its files
 *   shape     [2], receives the dimensions; n, 1 for a vector
 *   values    receives shape[0] * shape[1] floats; NULL: only the shape is wanted
 *   n_values  floats that 'values' has room for
 *
 * 'errbuf' is as in gpt2_decode().  Any number of threads may call it.  It takes some KB of memory
 * for the time of the call.
 * Errors: GPT2_ERR_ARGUMENT (also: no such weight), _MEMORY; nothing is written.
 */
GPT2_API int32_t gpt2_model_tensor(const gpt2_model *model, const char *name, int64_t *shape,
                                   float *values, size_t n_values, char *errbuf,
                                   size_t errbuf_size);

/* Frees the model and its tokenizer; NULL is ignored.  Free its sessions and encoders before. */
GPT2_API void gpt2_model_free(gpt2_model *model);

/* By Hugging Face's names.  Its "gelu_accurate" is gelu_new, its "gelu_python" is gelu. */
#define GPT2_ACT_GELU_NEW          0 /* 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
#define GPT2_ACT_GELU              1 /* 0.5 x (1 + erf(x / sqrt(2))) */
#define GPT2_ACT_GELU_FAST         2 /* 0.5 x (1 + tanh(0.7978845608 x (1 + 0.044715 x^2))) */
#define GPT2_ACT_GELU_PYTORCH_TANH 3 /* same formula as gelu_new, by PyTorch's name */
#define GPT2_ACT_RELU              4 /* max(x, 0) */
#define GPT2_ACT_SILU              5 /* x / (1 + exp(-x)); "swish" is another name of it */
#define GPT2_ACT_QUICK_GELU        6 /* x / (1 + exp(-1.702 x)) */
#define GPT2_ACT_TANH              7 /* tanh(x) */
#define GPT2_ACT_MISH              8 /* x tanh(log(1 + exp(x))) */

typedef struct gpt2_model_info {
    uint32_t struct_size; /* set by gpt2_model_info_init() */
    int32_t n_vocab;
    int32_t n_positions; /* the longest context */
    int32_t n_embd;
    int32_t n_layer;
    int32_t n_head;
    int32_t n_inner;     /* width of the MLP */
    int32_t activation;  /* GPT2_ACT_* */
    int32_t tied_head;   /* 1: lm_head is wte; 0: lm_head has its own weights */
    int32_t weight_type; /* GPT2_TYPE_* of wte in the file; of a native file, memory_type */
    int32_t eot_token;   /* as gpt2_tokenizer_eot(), else eos_token_id of config.json; -1: none */
    float layer_norm_epsilon;
    uint64_t n_parameters; /* numbers in the weights; a tied head counts once */
    uint64_t memory_bytes; /* memory of the model, without its tokenizer */
    int32_t memory_type;   /* GPT2_TYPE_* of the first block's matrices in memory */
    int32_t n_kv_head;     /* heads of keys and values: n_head; 1 with multi-query attention */
    uint32_t file_types;   /* bit t: some matrix in the file has GPT2_TYPE_* t; of a native file,
                              memory_type alone */
    int32_t reserved;      /* 0 */
} gpt2_model_info;

/* As gpt2_model_params_init(). */
GPT2_API int32_t gpt2_model_info_init(gpt2_model_info *info, size_t struct_size);

/* Fills 'info' as far as its struct_size reaches.  Errors: GPT2_ERR_ARGUMENT. */
GPT2_API int32_t gpt2_model_get_info(const gpt2_model *model, gpt2_model_info *info);

/*
 * The model's tokenizer, borrowed: it lives as long as the model.  NULL if the model has none.
 * A model may have more ids than its tokenizer; the extra ids decode to nothing.
 */
GPT2_API const gpt2_tokenizer *gpt2_model_tokenizer(const gpt2_model *model);

/*
 * Why the model has no tokenizer although its files have one: one line that names the file and what
 * is not supported in it.  "" if it has one, or if no file is there; also for NULL.  Borrowed: it
 * lives as long as the model.
 */
GPT2_API const char *gpt2_model_tokenizer_error(const gpt2_model *model);

/* --------------------------------------------------------------------------------- tokenizer -- */

typedef struct gpt2_tokenizer_params {
    uint32_t struct_size; /* set by gpt2_tokenizer_params_init() */
    uint32_t reserved;    /* 0 */
    char *errbuf;         /* optional: receives one line of detail on failure, NUL-terminated */
    size_t errbuf_size;   /* bytes in errbuf */
} gpt2_tokenizer_params;

/* As gpt2_model_params_init(). */
GPT2_API int32_t gpt2_tokenizer_params_init(gpt2_tokenizer_params *params, size_t struct_size);

/*
 * gpt2_tokenizer_load() reads tokenizer.json from the directory 'path', or, if that is not there,
 * vocab.json and merges.txt, or else r50k_base.tiktoken, tiktoken's file of ranks; or the
 * tokenizer of the native file 'path', of which it keeps nothing open.  With a directory's it
 * reads tokenizer_config.json, special_tokens_map.json and added_tokens.json, where they are, for
 * the added tokens and the words that begin and end a text. A tokenizer.json is read if it is
 * byte-level BPE as GPT-2's; docs/api.md says what that is.  Else it is refused, and the line
 * names the key.  'tokenizer' receives it; the caller frees it with gpt2_tokenizer_free().
 * Errors: GPT2_ERR_FILE, _FORMAT, _UNSUPPORTED, _MEMORY, _ARGUMENT.
 */
GPT2_API int32_t gpt2_tokenizer_load(const char *path, const gpt2_tokenizer_params *params,
                                     gpt2_tokenizer **tokenizer);

/* As gpt2_model_load_sources(), with the files of a tokenizer, or a native file; others are
   ignored. */
GPT2_API int32_t gpt2_tokenizer_load_sources(const gpt2_source *sources, size_t n_sources,
                                             const gpt2_tokenizer_params *params,
                                             gpt2_tokenizer **tokenizer);

/* Frees a tokenizer of gpt2_tokenizer_load(), never one borrowed from a model; NULL is ignored. */
GPT2_API void gpt2_tokenizer_free(gpt2_tokenizer *tokenizer);

/* One more than the largest token id; 0 for NULL. */
GPT2_API int32_t gpt2_tokenizer_n_vocab(const gpt2_tokenizer *tokenizer);

/* The id of the token that ends a text, or -1: eos_token of the files, else <|endoftext|>. */
GPT2_API int32_t gpt2_tokenizer_eot(const gpt2_tokenizer *tokenizer);

/* The id of the token that begins a text, or -1: bos_token of the files, else <|endoftext|>. */
GPT2_API int32_t gpt2_tokenizer_bos(const gpt2_tokenizer *tokenizer);

/*
 * 1 if the token 'id' is there, but no merge makes it, and it is no single byte and does not end a
 * text: an added token such as "<|pad|>".  Encoding gives its id if the files say that it is added;
 * one that is only in vocab.json is encoded as plain text.  Else 0, also for NULL and for ids
 * outside the vocabulary.
 */
GPT2_API int32_t gpt2_tokenizer_is_added(const gpt2_tokenizer *tokenizer, int32_t id);

/*
 * gpt2_tokenizer_token_bytes() stores in '*bytes' a pointer to the bytes of token 'id'.  They are
 * not NUL-terminated and may be only a part of a UTF-8 character.  The pointer is borrowed: it is
 * valid as long as the tokenizer.  Ids that the vocabulary leaves out have no bytes; '*bytes' is
 * then not NULL.  Ids are valid below gpt2_tokenizer_n_vocab(); for a model's tokenizer also those
 * below the model's n_vocab.  Errors: GPT2_ERR_TOKEN, _ARGUMENT.
 */
GPT2_API int32_t gpt2_tokenizer_token_bytes(const gpt2_tokenizer *tokenizer, int32_t id,
                                            const char **bytes, size_t *n_bytes);

/*
 * gpt2_decode() writes the bytes of 'n_ids' tokens one after another, without a NUL.
 *
 *   text      receives the bytes; may be NULL if 'capacity' is 0
 *   n_bytes   receives the number of bytes, also if GPT2_ERR_BUFFER says that 'capacity' is too
 *             small; do not read 'text' then
 *   errbuf    optional, NULL if 'errbuf_size' is 0: receives one line of detail on failure, such as
 *             "id 3 is 70000, wanted 0 to 50256", and "" on success; NUL-terminated
 *
 * decode(encode(x)) == x for every x, UTF-8 or not, but for white space that an added token takes,
 * and for a space that the tokenizer puts in front (add_prefix_space).
 * Errors: GPT2_ERR_BUFFER, _TOKEN, _ARGUMENT.
 */
GPT2_API int32_t gpt2_decode(const gpt2_tokenizer *tokenizer, const int32_t *ids, size_t n_ids,
                             char *text, size_t capacity, size_t *n_bytes, char *errbuf,
                             size_t errbuf_size);

/* What gpt2_decode_part() keeps between its calls: {0} at the beginning of a text. */
typedef struct gpt2_decode_state {
    uint32_t n_held; /* 0 to 3 */
    uint8_t held[4]; /* the first bytes of a character; the others come later */
} gpt2_decode_state;

/* For 'flags' of gpt2_decode_part(): more tokens follow. */
#define GPT2_DECODE_MORE 0x1u

/*
 * gpt2_decode_part() is gpt2_decode() for tokens that come one by one, or a few at a time.  With
 * GPT2_DECODE_MORE it writes whole UTF-8 characters: the bytes of an unfinished one, at most 3,
 * wait in 'state' for the next call.  A call without the flag (n_ids may be 0) writes the waiting
 * bytes too and makes 'state' ready for another text.
 *
 *     while (generate(&id))
 *         gpt2_decode_part(tokenizer, &state, &id, 1, GPT2_DECODE_MORE, text, sizeof text,
 *                          &n_bytes, NULL, 0);
 *     gpt2_decode_part(tokenizer, &state, NULL, 0, 0, text, sizeof text, &n_bytes, NULL, 0);
 *
 * The calls together write the text of gpt2_decode().  Bytes that are not UTF-8 are written as they
 * are.  A 'capacity' of the tokens' own bytes and 3 more is always enough.  Do not read 'text'
 * behind '*n_bytes'.  A call that fails leaves 'state' as it was.  A call that returns GPT2_OK has
 * consumed its tokens, even if it writes nothing.  'errbuf' is as in gpt2_decode().
 * Errors: GPT2_ERR_BUFFER ('*n_bytes' receives the capacity it needs), _TOKEN, _ARGUMENT.
 */
GPT2_API int32_t gpt2_decode_part(const gpt2_tokenizer *tokenizer, gpt2_decode_state *state,
                                  const int32_t *ids, size_t n_ids, uint32_t flags, char *text,
                                  size_t capacity, size_t *n_bytes, char *errbuf,
                                  size_t errbuf_size);

/*
 * Where a token is in the text, in bytes and in characters.  Characters are code points.  A byte at
 * which no well-formed UTF-8 begins is a character by itself.  This struct never changes.
 */
typedef struct gpt2_offsets {
    size_t first_byte;
    size_t end_byte;   /* of the byte behind it */
    size_t first_char; /* a token that has only a part of a character still counts that character */
    size_t end_char;
} gpt2_offsets;

/*
 * gpt2_token_offsets() tells where each token is in the text that gpt2_decode() gives, which is the
 * text that gpt2_encode() got, but for what gpt2_decode() says.  For a text that was encoded in
 * parts, pass the ids of all parts together.
 *
 *   ids       [n_ids] all ids of the text, from its beginning
 *   offsets   receives [n_ids]; do not read it if the call fails
 *
 * Errors: GPT2_ERR_TOKEN (ids are valid as for gpt2_tokenizer_token_bytes()), _ARGUMENT.
 */
GPT2_API int32_t gpt2_token_offsets(const gpt2_tokenizer *tokenizer, const int32_t *ids,
                                    size_t n_ids, gpt2_offsets *offsets);

/* The workspace of encoding: one for each thread that encodes; they may share a tokenizer. */
typedef struct gpt2_encoder gpt2_encoder;

typedef struct gpt2_encoder_params {
    uint32_t struct_size;   /* set by gpt2_encoder_params_init() */
    uint32_t reserved;      /* 0 */
    size_t max_piece_bytes; /* the longest piece that can be encoded; default 65536.  A text is cut
                               into pieces, such as one word or one run of spaces, so the length
                               of the text is always enough.  Memory: about 19 bytes for each. */
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
 * params needs with this library, and gpt2_encoder_init() makes it in memory[memory_bytes], of any
 * alignment and content.  The memory must stay in place while the encoder is in use.  For such an
 * encoder gpt2_encoder_free() does nothing, and need not be called.
 * Errors: GPT2_ERR_BUFFER (memory_bytes is too small), _MEMORY (more than an address space holds),
 * _ARGUMENT.
 */
GPT2_API int32_t gpt2_encoder_size(const gpt2_encoder_params *params, size_t *n_bytes);
GPT2_API int32_t gpt2_encoder_init(const gpt2_tokenizer *tokenizer,
                                   const gpt2_encoder_params *params, void *memory,
                                   size_t memory_bytes, gpt2_encoder **encoder);

/* NULL is ignored. */
GPT2_API void gpt2_encoder_free(gpt2_encoder *encoder);

/* One line of detail if the last call on the encoder failed, else ""; valid until the next call. */
GPT2_API const char *gpt2_encoder_error(const gpt2_encoder *encoder);

/*
 * Discards a partly encoded text, so that another one can begin.  Call it if a part failed with
 * GPT2_ERR_PIECE or _TOKEN, or if the last part will not come.  Errors: GPT2_ERR_ARGUMENT.
 */
GPT2_API int32_t gpt2_encoder_reset(gpt2_encoder *encoder);

/* For 'flags' of gpt2_encode(). */
#define GPT2_ENCODE_SPECIAL 0x1u /* "<|endoftext|>" and others become tokens, not plain text */
#define GPT2_ENCODE_MORE    0x2u /* the text continues in the next call */

/*
 * gpt2_encode() turns text into token ids, the ids of GPT-2's byte-level BPE.
 *
 *   text      'n_bytes' bytes of any content, UTF-8 or not, NULs included; NULL if n_bytes is 0
 *   ids       receives up to 'capacity' ids; a whole text never needs more than n_bytes ids, with
 *             add_prefix_space twice as many; may be NULL if 'capacity' is 0, to count
 *   n_ids     receives the number of ids, also if GPT2_ERR_BUFFER says that 'capacity' is too
 *             small; do not read 'ids' then
 *
 * A long text may come in parts, cut anywhere.  Each part but the last has the flag
 * GPT2_ENCODE_MORE; the last may be empty.  The other flags are the same for all parts.
 *
 *     while ((n_bytes = fread(text, 1, sizeof text, file)) > 0)
 *         gpt2_encode(encoder, text, n_bytes, GPT2_ENCODE_MORE, ids, capacity, &n_ids);
 *     gpt2_encode(encoder, NULL, 0, 0, ids, capacity, &n_ids);
 *
 * The encoder holds back the end of a part, fewer than max_piece_bytes + 64 bytes, or + 1,600 if
 * the tokenizer has long added tokens.  So a call may give no ids, or up to as many more than
 * n_bytes.  The calls together give the ids of the whole text.  A call that fails consumes no
 * bytes: the same call with more room gives the ids.  If a call returns GPT2_OK, the bytes are
 * consumed even if no id is written.
 *
 * GPT2_ENCODE_SPECIAL is about the special tokens of the files, and the words that begin and end a
 * text.  Leave it out for text that nobody has checked.  Added tokens that are not special are
 * always found, as in Hugging Face.
 * Time grows as n log n at worst, for any bytes.  Does not allocate.
 * Errors: GPT2_ERR_BUFFER, _PIECE, _TOKEN (the vocabulary has no token for a byte), _ARGUMENT.
 */
GPT2_API int32_t gpt2_encode(gpt2_encoder *encoder, const char *text, size_t n_bytes,
                             uint32_t flags, int32_t *ids, size_t capacity, size_t *n_ids);

/* ----------------------------------------------------------------------------------- session -- */

/*
 * What runs texts through a model: sequences, the KV cache that they share, the workspace of a
 * forward pass, threads.  A sequence is one text, and a number from 0.  Sequence 0 is open from the
 * start; gpt2_forward() runs it, so a program with one text at a time needs no other.
 */
typedef struct gpt2_session gpt2_session;

/*
 * The host's own thread pool.  It calls worker(argument, i) once for each i in [0, n_workers), on
 * any threads, in any order, at the same time or one after another, and returns when all calls have
 * returned.  No worker waits for another.  If the host runs fewer of them, the caller does the work
 * that is left.  With OpenMP:
 *
 *     #pragma omp parallel for schedule(static, 1)
 *     for (int32_t i = 0; i < n_workers; i++)
 *         worker(argument, i);
 *
 * Each gpt2_forward() calls it many times, gpt2_sequence_save() and _restore() once or twice, on
 * the thread and in the floating-point state of their caller.  Workers set the library's
 * floating-point state and restore the one before.  It must not call functions on its session
 * except gpt2_session_cancel().  It must return, as a gpt2_tap_callback must.
 */
typedef void (*gpt2_parallel_for)(void *user, int32_t n_workers,
                                  void (*worker)(void *argument, int32_t index), void *argument);

typedef struct gpt2_session_params {
    uint32_t struct_size; /* set by gpt2_session_params_init() */
    uint32_t cpu_mask;    /* GPT2_CPU_* groups the kernels may use; default GPT2_CPU_ALL */
    int32_t n_threads;    /* 1..256, the caller's included; 0: one per CPU; default 1 */
    int32_t n_ctx;        /* max positions of a sequence; 0 (default), or more than the model's
                             n_positions: n_positions.  gpt2_session_n_ctx() returns the result */
    int32_t n_batch;      /* max rows of one internal step, 1..65536; default 256 */
    int32_t n_logit_rows; /* max rows of logits that one call keeps, of all its sequences together;
                             0 (default): one for each sequence.  More than the sequences have
                             positions means all of them */
    char *errbuf;         /* optional: receives one line of detail on failure */
    size_t errbuf_size;   /* bytes in errbuf */
    gpt2_parallel_for parallel_for; /* optional: runs up to n_threads workers; the session then
                                       starts no threads.  Not called if n_threads is 1 */
    void *parallel_for_user;        /* the 'user' that parallel_for gets */
    int32_t n_sequences; /* texts that can be open at the same time, 1..65536; default 1 */
    int32_t n_pages;     /* pages of the KV cache, each 64 positions of one sequence, or of several
                            that share a beginning.  0 (default), or more than that: enough for
                            n_ctx positions of each sequence */
    int32_t kv_type;     /* type of keys and values in the cache: GPT2_TYPE_F32 (default), or
                            GPT2_TYPE_F16, which takes half the memory.  They are rounded to the
                            nearest f16, beyond its range to infinity */
    int32_t on_full;     /* GPT2_FULL_*: what a forward call does at the end of the context */
    int32_t n_keep;      /* for GPT2_FULL_SHIFT: first tokens of a text that stay, 0..n_ctx - 2 */
    int32_t reserved;    /* 0 */
} gpt2_session_params;

/*
 * For 'on_full'.  STOP refuses tokens that do not fit, with GPT2_ERR_CONTEXT.  SHIFT cuts the text:
 * it keeps the first n_keep tokens and the newest (n_ctx - n_keep) / 2, runs these again at the
 * positions from n_keep on, and goes on.  The logits are those of a fresh run on the tokens that
 * are left.  A text is cut at the same tokens however it was split into calls.  If a call fails
 * after it has cut a text, the text stays as it was, but keys and values behind the first n_keep
 * tokens are lost, and their pages are free.  The next call computes them again, for which it needs
 * pages.
 */
#define GPT2_FULL_STOP  0
#define GPT2_FULL_SHIFT 1

/* As gpt2_model_params_init(). */
GPT2_API int32_t gpt2_session_params_init(gpt2_session_params *params, size_t struct_size);

/*
 * gpt2_session_create() makes a session over 'model', which must outlive it.  It makes one
 * allocation and starts n_threads - 1 threads, or none if there is a parallel_for.  The threads
 * sleep while the session is idle.  A call wakes only as many threads as there were CPUs for when
 * the session was made.  The caller frees it with gpt2_session_free().  Errors: GPT2_ERR_MEMORY,
 * _THREAD, _ARGUMENT.
 */
GPT2_API int32_t gpt2_session_create(const gpt2_model *model, const gpt2_session_params *params,
                                     gpt2_session **session);

/*
 * The same in the caller's memory.  gpt2_session_size() stores how many bytes a session of these
 * params needs with this library.  gpt2_session_init() makes the session in 'memory', which has
 * 'memory_bytes' bytes, any alignment and any content.  Do not move or reuse the memory before
 * gpt2_session_free(), which ends the threads and frees nothing.  If n_threads is 0, the size
 * depends on how many CPUs there are at that moment.
 * Errors: GPT2_ERR_BUFFER (memory_bytes is too small), _MEMORY (more than an address space holds),
 * _THREAD, _ARGUMENT.
 */
GPT2_API int32_t gpt2_session_size(const gpt2_model *model, const gpt2_session_params *params,
                                   size_t *n_bytes);
GPT2_API int32_t gpt2_session_init(const gpt2_model *model, const gpt2_session_params *params,
                                   void *memory, size_t memory_bytes, gpt2_session **session);

/* Ends the threads and frees the session; NULL is ignored. */
GPT2_API void gpt2_session_free(gpt2_session *session);

/*
 * Empties sequence 0, closes all others, and withdraws a gpt2_session_cancel() that has not ended a
 * call yet.
 */
GPT2_API int32_t gpt2_session_reset(gpt2_session *session);

/* The tokens of sequence 0, which is also the position of its next token; 0 for NULL. */
GPT2_API int32_t gpt2_session_position(const gpt2_session *session);

/* Max positions of a sequence; 0 for NULL. */
GPT2_API int32_t gpt2_session_n_ctx(const gpt2_session *session);

/* Pages of the KV cache that no sequence uses; 0 for NULL. */
GPT2_API int32_t gpt2_session_n_free_pages(const gpt2_session *session);

/*
 * One word for the kernels in use: "scalar", "avx2", "avxvnni", "avx512", "avx512vnni", "neon" or
 * "dotprod"; "" for NULL.  If they come from several instruction sets, the name of the largest one.
 */
GPT2_API const char *gpt2_session_kernels(const gpt2_session *session);

/* One line about the last call on this session if it failed, else ""; valid until the next. */
GPT2_API const char *gpt2_session_error(const gpt2_session *session);

/*
 * gpt2_session_cancel() makes the running gpt2_forward(), or the next one if none runs, return
 * GPT2_ERR_CANCELLED soon.  It ends one call.  This is the one function that any thread, or a
 * signal handler, may call on a session in use.
 */
GPT2_API void gpt2_session_cancel(gpt2_session *session);

/* The monotonic clock that deadlines use (CLOCK_MONOTONIC), in nanoseconds. */
GPT2_API uint64_t gpt2_clock_ns(void);

/*
 * From now on, a gpt2_forward() that still runs when gpt2_clock_ns() reaches 'deadline_ns' returns
 * GPT2_ERR_DEADLINE soon.  0 removes the deadline.  A deadline ends one call: a call that fails
 * after the deadline has passed removes it.
 */
GPT2_API int32_t gpt2_session_set_deadline(gpt2_session *session, uint64_t deadline_ns);

/*
 * Call this in the child of fork() before any other call on the session: the threads of the session
 * do not exist there.  The child's copy then runs on one thread.  Sessions of one thread do not
 * need this call.
 */
GPT2_API int32_t gpt2_session_after_fork(gpt2_session *session);

/*
 * gpt2_forward() appends tokens to sequence 0 and runs them through the model.
 *
 *   tokens        borrowed for the call, each in [0, n_vocab)
 *   n_tokens      1 or more; a text without a prompt begins with <|endoftext|>, the model's
 *                 eot_token
 *   n_logit_rows  how many of the last tokens get logits, which are kept: 1 to choose the next
 *                 token, n_tokens to score a text, 0 for none.  More than n_tokens means all of
 *                 them.  The max is the session's n_logit_rows.
 *
 * Errors: GPT2_ERR_TOKEN, _CONTEXT, _PAGES, _ARGUMENT, _CANCELLED, _DEADLINE.  The text stays as it
 * was.  The kept logits stay, too, unless the forward pass had begun.
 */
GPT2_API int32_t gpt2_forward(gpt2_session *session, const int32_t *tokens, size_t n_tokens,
                              size_t n_logit_rows);

/* One sequence's part of a batch.  This struct never changes. */
typedef struct gpt2_batch_item {
    int32_t sequence;      /* an open one; each at most once in a batch */
    int32_t reserved;      /* 0 */
    const int32_t *tokens; /* these members are as in gpt2_forward() */
    size_t n_tokens;
    size_t n_logit_rows;
} gpt2_batch_item;

/*
 * gpt2_forward_batch() is gpt2_forward() for several sequences in one call, any mix of prompts and
 * single tokens.  The weights are read once for all rows of a step, and each sequence gets the bits
 * that it gets alone.  All or nothing: on failure every sequence is as before.  n_items is 1 or
 * more.  The line of an error names the item or the sequence.  Errors: those of gpt2_forward(),
 * _SEQUENCE.
 */
GPT2_API int32_t gpt2_forward_batch(gpt2_session *session, const gpt2_batch_item *items,
                                    size_t n_items);

#define GPT2_LAST_ROW (-1)

/*
 * gpt2_session_logits() stores in '*logits' the address of the n_vocab logits of one row.
 * 'row' counts the tokens of the last gpt2_forward() from 0, or is GPT2_LAST_ROW.
 * The kept rows follow each other in memory, n_vocab floats each.  The session owns them; they are
 * valid until its next forward call or reset, or until it is freed.
 * Errors: GPT2_ERR_ROW if the logits of this row were not asked for, _ARGUMENT.
 */
GPT2_API int32_t gpt2_session_logits(gpt2_session *session, int32_t row, const float **logits);

/*
 * The same for a row of item 'item', from 0, of the last gpt2_forward_batch();
 * gpt2_session_logits() is item 0.  The rows of the items follow each other.
 */
GPT2_API int32_t gpt2_batch_logits(gpt2_session *session, size_t item, int32_t row,
                                   const float **logits);

/* --------------------------------------------------------------------------------- sequences -- */

/*
 * Sequences share the KV cache of their session.  It is cut into pages of 64 positions; a sequence
 * takes pages as it grows and gives them back when it is closed or truncated.  Forks share the
 * pages of their common beginning.  Opening, closing, forking and truncating copy no key or value:
 * the first write to a page that several sequences share copies that page.
 *
 * All these calls keep the logits of the last forward call.  Each may return GPT2_ERR_SEQUENCE and
 * _ARGUMENT.
 */

/* Opens an empty sequence and stores its number, which is below n_sequences. */
GPT2_API int32_t gpt2_sequence_open(gpt2_session *session, int32_t *sequence);

/* Closes a sequence and frees pages that no other uses.  Sequence 0 is emptied and stays open. */
GPT2_API int32_t gpt2_sequence_close(gpt2_session *session, int32_t sequence);

/*
 * Opens a sequence, stores its number in '*fork', and gives it the first 'position' tokens of
 * 'sequence'.  A text that was cut (GPT2_FULL_SHIFT) can be forked only behind the cut.
 * Errors: GPT2_ERR_CONTEXT.
 */
GPT2_API int32_t gpt2_sequence_fork(gpt2_session *session, int32_t sequence, int32_t position,
                                    int32_t *fork);

/* Takes back all tokens from 'position' on.  Errors: as gpt2_sequence_fork(). */
GPT2_API int32_t gpt2_sequence_truncate(gpt2_session *session, int32_t sequence, int32_t position);

/*
 * Stores the number of tokens of a text, those that were cut off included: the position of its next
 * token.
 */
GPT2_API int32_t gpt2_sequence_position(gpt2_session *session, int32_t sequence, int32_t *position);

/*
 * Stores the address and the number of the tokens in the context: the whole text, or what
 * GPT2_FULL_SHIFT left of it.  They are borrowed until the next call that changes the sequence.
 */
GPT2_API int32_t gpt2_sequence_ids(gpt2_session *session, int32_t sequence, const int32_t **ids,
                                   size_t *n_ids);

/*
 * A state is a sequence as bytes: its tokens, keys and values, with a checksum.  It can be restored
 * in another session, process or machine, with another n_ctx, n_batch, number of threads or
 * instruction set, and goes on with the same bits, up to the end of a shorter context.  The model's
 * numbers, the types of its weights in memory and kv_type must be the same, and n_keep if the text
 * was cut.  Equal sequences have equal states.
 *
 * gpt2_sequence_save() writes a state to bytes[capacity].  '*n_bytes' receives its size, also if
 * GPT2_ERR_BUFFER says that 'capacity' is too small; bytes may be NULL if capacity is 0, to ask.
 * gpt2_sequence_write() gives it to 'write', in parts of any size.
 * The first save or restore of a session reads all weights once, for the model's checksum.
 * Errors: GPT2_ERR_BUFFER, _CANCELLED, _STATE (a call has failed after a cut, so keys and values
 * are missing: run a token first), _UNSUPPORTED (a big-endian CPU).
 */
GPT2_API int32_t gpt2_sequence_save(gpt2_session *session, int32_t sequence, void *bytes,
                                    size_t capacity, size_t *n_bytes);
GPT2_API int32_t gpt2_sequence_write(gpt2_session *session, int32_t sequence,
                                     gpt2_write_callback write, void *user);

/*
 * gpt2_sequence_restore() makes an open sequence what was saved in bytes[n_bytes], which it borrows
 * for the call.  The sequence has no logits before its next token has run.
 * Errors: GPT2_ERR_STATE, _CONTEXT (it has more tokens than n_ctx), _PAGES, _UNSUPPORTED (a
 * big-endian CPU).  The sequence stays as it was.
 */
GPT2_API int32_t gpt2_sequence_restore(gpt2_session *session, int32_t sequence, const void *bytes,
                                       size_t n_bytes);

/* ---------------------------------------------------------------------------------- sampling -- */

/*
 * Called with a row of logits [n_vocab] after all changes that the params ask for; it may change
 * them.  'position' is that of the token to choose.  Non-zero ends the call with
 * GPT2_ERR_CANCELLED.  It runs in the floating-point state of the caller, must not call functions
 * on its session, and must return, as a gpt2_tap_callback.
 */
typedef int32_t (*gpt2_logits_callback)(void *user, int64_t position, float *logits,
                                        int32_t n_vocab);

/*
 * How a token is chosen.  Everything applies in the order below: first the changes to the logits,
 * then temperature, then the filters, which leave tokens out, then the draw.  A probability is
 * always one among the tokens that the filters before have kept.  Arrays are borrowed for the call.
 */
typedef struct gpt2_sample_params {
    uint32_t struct_size; /* set by gpt2_sample_params_init() */
    float temperature; /* >= 0; default 1.  Below 1e-6: the largest logit, the lowest id on ties */
    int32_t top_k;     /* keep the k largest logits; 0 (default): all */
    float top_p;       /* keep the smallest set of the most probable tokens whose probabilities add
                             up to top_p or more, at least one token; 1 (default): all */
    uint64_t seed;     /* key of the random numbers; default 0 */
    uint64_t stream;   /* a second key, for several texts with one seed; default 0 */
    int64_t position;  /* index in the whole text of the token to draw; -1 (default): the position
                             of the row + 1, tokens that GPT2_FULL_SHIFT cut off included */

    /* filters, in the order in which they apply: top_n_sigma, top_k, top_p, then as here */
    float top_n_sigma; /* keep logits at most so many standard deviations of all finite logits
                              below the largest; 0 (default): all */
    float min_p;       /* keep what is at least min_p times as probable as the most probable
                              token; 0 (default): all */
    float typical_p;   /* keep the tokens whose -log(probability) is nearest to the entropy, until
                              their probabilities add up to typical_p; 1 (default): all */
    float xtc_probability; /* how often XTC is applied; 0 (default): never */
    float xtc_threshold;   /* XTC leaves out all tokens of at least this probability but the least
                              probable one of them; default 0.1 */
    float mirostat_tau;    /* mirostat 2: keep tokens whose surprise, -log2(probability), is at
                              most *mirostat_mu, or else the first in rank.  tau is the surprise
                              that it aims at; 0 (default): off */
    float mirostat_eta;    /* each draw subtracts mirostat_eta (its surprise among the kept tokens
                              - mirostat_tau) from *mirostat_mu; default 0.1 */

    /*
     * changes to the logits before the filters, in this order: bias, repetition penalty, frequency
     * and presence penalty, DRY, n-grams, banned and allowed tokens, callback
     */
    int32_t penalty_window; /* the last tokens of the history that penalties and DRY see; 0
                                   (default): all */
    int32_t ignores_prompt; /* in a generator, 1: they and n-grams do not see what was there before
                                   its first token; default 0 */
    float repetition_penalty; /* > 0; of tokens in the history a positive logit is divided by it, a
                                   negative one multiplied; 1 (default): none */
    float frequency_penalty;  /* subtracted for each time that a token is there; default 0 */
    float presence_penalty;   /* subtracted if a token is there; default 0 */
    float dry_multiplier; /* DRY: if the last n tokens were there before, the token that followed
                                   them gets dry_multiplier dry_base^(n - dry_allowed_length)
                                   subtracted, if n is not below dry_allowed_length.  n is as large
                                   as it can be, up to 50.  0 (default): off */
    float dry_base;       /* >= 1; default 1.75 */
    int32_t dry_allowed_length;   /* 0 or more; default 2 */
    int32_t no_repeat_ngram_size; /* no run of so many tokens of the whole history appears again;
                                     0 (default): off */

    float *mirostat_mu;       /* mirostat's state: 2 mirostat_tau before the first draw.  Each draw
                                   changes it, unless the temperature is below 1e-6.  It stays
                                   finite.  NULL in a generator: one of its own */
    const float *bias;        /* [n_vocab] added to the logits; or NULL */
    const int32_t *bias_ids;  /* [n_biases] tokens whose logits get a bias */
    const float *bias_values; /* [n_biases] and what is added to each */
    size_t n_biases;          /* default 0 */
    const int32_t *history; /* [n_history] the text so far, in order; or NULL.  The prompt counts if
                                   it is in there.  NULL in a generator: it takes the tokens of
                                   gpt2_sequence_ids() */
    size_t n_history;       /* default 0 */
    const int32_t *dry_breakers;   /* [n_dry_breakers] tokens that are never part of what DRY finds
                                   repeated, and that it does not penalize */
    size_t n_dry_breakers;         /* default 0 */
    const int32_t *banned_ids;     /* [n_banned] tokens that are not chosen */
    size_t n_banned;               /* default 0 */
    const int32_t *allowed_ids;    /* [n_allowed] all others are not chosen */
    size_t n_allowed;              /* 0 (default): all are allowed */
    gpt2_logits_callback callback; /* optional */
    void *callback_user;           /* what 'callback' gets */
} gpt2_sample_params;

/* As gpt2_model_params_init(). */
GPT2_API int32_t gpt2_sample_params_init(gpt2_sample_params *params, size_t struct_size);

/*
 * gpt2_sample() chooses a token from one row of logits.  'row' is as in gpt2_session_logits().  The
 * same (seed, stream, position) always draws the same number, so a text can be reproduced from any
 * point.
 *
 *   params   NULL for the defaults
 *   id       receives the token
 *
 * It does not change the text: pass the id to gpt2_forward() for that.
 * Errors: GPT2_ERR_ROW, _NONFINITE, _TOKEN (an id in the params), _CANCELLED (by the callback),
 * _ARGUMENT.
 */
GPT2_API int32_t gpt2_sample(gpt2_session *session, int32_t row, const gpt2_sample_params *params,
                             int32_t *id);

/* The same for a row of item 'item' of the last gpt2_forward_batch(); gpt2_sample() is item 0. */
GPT2_API int32_t gpt2_batch_sample(gpt2_session *session, size_t item, int32_t row,
                                   const gpt2_sample_params *params, int32_t *id);

/*
 * The same for logits [n_vocab] of the caller, borrowed for the call; a position of -1 is
 * n_history.  The session lends its workspace.  Errors: those of gpt2_sample() but GPT2_ERR_ROW.
 */
GPT2_API int32_t gpt2_sample_logits(gpt2_session *session, const float *logits,
                                    const gpt2_sample_params *params, int32_t *id);

/* A token and its probability.  This struct never changes. */
typedef struct gpt2_candidate {
    int32_t id;
    float probability;
} gpt2_candidate;

/*
 * gpt2_sample_candidates() tells what gpt2_sample_logits() would draw from: the tokens that are
 * kept, the most probable first, of equal ones the lower id, with the probabilities of the draw.  A
 * temperature below 1e-6 counts as 1.
 *
 *   candidates   receives up to 'capacity' of them; may be NULL if that is 0
 *   n_kept       receives how many are kept, also if there are more than 'capacity'
 *
 * Tokens of probability 0, such as banned ones, are among the kept ones, as the last, unless a
 * filter drops them.
 *
 * Errors: those of gpt2_sample_logits().
 */
GPT2_API int32_t gpt2_sample_candidates(gpt2_session *session, const float *logits,
                                        const gpt2_sample_params *params,
                                        gpt2_candidate *candidates, size_t capacity,
                                        size_t *n_kept);

/* --------------------------------------------------------------------------------- generator -- */

/*
 * What continues a text: it runs the tokens, draws the next one, turns it into text, and finds
 * where the text ends.
 *
 *     gpt2_generator_create(session, NULL, &generator);
 *     gpt2_generator_start(generator, 0, ids, n_ids, max_tokens, NULL);
 *     do {
 *         gpt2_generator_step(&generator, 1, &result);
 *         fwrite(result.text, 1, result.n_bytes, stdout);
 *     } while (result.finish == GPT2_FINISH_NOT_YET);
 *
 * A generator belongs to its session, and to the thread that has the session.
 */
typedef struct gpt2_generator gpt2_generator;

typedef struct gpt2_generator_params {
    uint32_t struct_size;    /* set by gpt2_generator_params_init() */
    int32_t ignore_eot;      /* 1: <|endoftext|> does not end a text; default 0 */
    const int32_t *stop_ids; /* [n_stop_ids] tokens that end a text; copied */
    size_t n_stop_ids;
    const char *const
        *stop_strings; /* [n_stop_strings], each with a NUL at its end and not empty: a
                                        text ends before the first that is complete in it; copied.
                                        They need a tokenizer */
    size_t n_stop_strings;
    char *errbuf;       /* optional: receives one line of detail on failure */
    size_t errbuf_size; /* bytes in errbuf */
    int32_t shortlist;  /* 1: with a model of gpt2_model_params.shortlist, a step computes only the
                           logits that its draw looks at, where it runs alone, sampling is greedy
                           or top_k comes first, and nothing changes the logits.  The same tokens;
                           but the generator's rows have no logits to read with such sampling, even
                           where all were computed: calls on them fail with GPT2_ERR_ROW.
                           Default 0 */
    int32_t draft_max;  /* 0 (default) to 31: the most tokens that a step guesses, from what
                           followed the same words before.  It checks all guesses in one forward
                           call, and drops the wrong ones: the text is the same, sampled or not,
                           and comes faster if it copies itself.  How many are guessed, if any,
                           depends on how many were right, and on what calls take by the clock.
                           The session needs an n_logit_rows of draft_max + 1; the texts of a
                           step share it */
} gpt2_generator_params;

/* As gpt2_model_params_init(). */
GPT2_API int32_t gpt2_generator_params_init(gpt2_generator_params *params, size_t struct_size);

/*
 * gpt2_generator_create() makes a generator over 'session', which must outlive it.
 * The caller frees it with gpt2_generator_free().  Errors: GPT2_ERR_MEMORY, _TOKEN (a stop id
 * outside the vocabulary), _ARGUMENT.
 */
GPT2_API int32_t gpt2_generator_create(gpt2_session *session, const gpt2_generator_params *params,
                                       gpt2_generator **generator);

/*
 * The same in the caller's memory, as gpt2_encoder_size() and gpt2_encoder_init().
 * Errors: GPT2_ERR_BUFFER (memory_bytes is too small), _MEMORY (more than an address space holds),
 * _TOKEN, _ARGUMENT.
 */
GPT2_API int32_t gpt2_generator_size(const gpt2_session *session,
                                     const gpt2_generator_params *params, size_t *n_bytes);
GPT2_API int32_t gpt2_generator_init(gpt2_session *session, const gpt2_generator_params *params,
                                     void *memory, size_t memory_bytes, gpt2_generator **generator);

/*
 * NULL is ignored.  The sequence stays as it is.  It uses nothing of the session, so any thread may
 * call it while the session runs, but not while a call with this generator runs.
 */
GPT2_API void gpt2_generator_free(gpt2_generator *generator);

/*
 * gpt2_generator_start() begins to continue a sequence.  It runs nothing yet.  A generator that has
 * not finished leaves its text as it is.
 *
 *   sequence     an open one, empty or not; no other generator should continue it at the same time
 *   ids          the prompt, as the tokens of gpt2_forward(): the first step runs it behind what
 *                the sequence has.  Borrowed until that step has returned
 *   n_ids        1 or more
 *   max_tokens   how many tokens to draw; -1: no limit
 *   sampling     copied, but what it points to must stay until the text has ended; NULL for the
 *                defaults.  A 'position' other than -1 is that of the first token that is drawn;
 *                each later token has the next one
 *
 * Errors: GPT2_ERR_TOKEN, _CONTEXT, _SEQUENCE, _ARGUMENT; the line is in gpt2_session_error().  The
 * generator stays as it was.
 */
GPT2_API int32_t gpt2_generator_start(gpt2_generator *generator, int32_t sequence,
                                      const int32_t *ids, size_t n_ids, int64_t max_tokens,
                                      const gpt2_sample_params *sampling);

/* Why a text has ended. */
#define GPT2_FINISH_NOT_YET   0
#define GPT2_FINISH_TOKEN     1 /* <|endoftext|> or a stop id, which gives no text */
#define GPT2_FINISH_STRING    2 /* before a stop string */
#define GPT2_FINISH_LENGTH    3 /* max_tokens have been drawn */
#define GPT2_FINISH_CONTEXT   4 /* the context is full */
#define GPT2_FINISH_PAGES     5 /* the KV cache has too few free pages */
#define GPT2_FINISH_CANCELLED 6 /* by gpt2_session_cancel() or by a tap */
#define GPT2_FINISH_DEADLINE  7 /* the deadline of gpt2_session_set_deadline() has passed */
#define GPT2_FINISH_ERROR     8 /* no token can be drawn, as when gpt2_sample() fails */

/* What a step gives for one generator.  This struct never changes. */
typedef struct gpt2_generated {
    int32_t id;     /* the token that was drawn; -1: none */
    int32_t finish; /* GPT2_FINISH_* */
    const char
        *text;      /* what became certain: whole UTF-8 characters, no part of a stop string; at the
                         end of the text all that is left.  No NUL; valid until the next step or
                         start of the generator, or until it is freed */
    size_t n_bytes; /* 0 without a tokenizer */
} gpt2_generated;

/*
 * gpt2_generator_step() draws the next token of 'n' generators of one session.  It runs all their
 * tokens in one batch, as gpt2_forward_batch(): their prompts, and the tokens of the step before.
 * So a token that ends a text is not in its sequence.  Each text is the one that its generator
 * gives alone.
 *
 *   generators   of different sequences; those that have finished give no token and no text
 *   results      receives [n]
 *
 * A generator that cannot go on finishes, and the others go on.  If pages are short, the first that
 * does not fit finishes, then the next, until the others fit.  A cancel or a deadline finishes all
 * that run: their sequences are as before the step.  A text can be resumed: start again with the
 * tokens that are not in its sequence, the prompt or the last id.
 *
 * With gpt2_generator_params.draft_max a step may draw several tokens of a text.  It gives out the
 * first; the next steps give out the others, and run nothing for this text.  So
 *   - its sequence, and a mirostat_mu of the host, are ahead of what was given out.  A host that
 *     stops in between and goes on with the sequence truncates it;
 *   - what 'sampling' points to must not change between steps, and a callback should go by the
 *     history that it gets;
 *   - taps see guesses, too, and a cancel or a deadline ends the next step that runs something;
 *   - where pages are short, another text may be the first that does not fit;
 *   - items of gpt2_batch_logits() are those of the texts whose sequences have grown, with a row
 *     for each token that was drawn.
 *
 * After a step, item i of gpt2_batch_logits() is the i-th of the generators whose tokens have run.
 * Errors: GPT2_ERR_SEQUENCE (closed since the start), _TOKEN (the ids of a prompt have changed),
 * _ARGUMENT; the line is in gpt2_session_error().  All generators stay as they were.
 */
GPT2_API int32_t gpt2_generator_step(gpt2_generator *const *generators, size_t n,
                                     gpt2_generated *results);

/*
 * How many tokens the generator has guessed since its start, and how many of them were right: each
 * saved a forward call.  Errors: GPT2_ERR_ARGUMENT.
 */
GPT2_API int32_t gpt2_generator_drafted(const gpt2_generator *generator, uint64_t *n_drafted,
                                        uint64_t *n_accepted);

/*
 * One line of detail if the generator has finished with GPT2_FINISH_CONTEXT and no id, or with a
 * number above it; else "".  Valid until the next step or start of the generator.
 */
GPT2_API const char *gpt2_generator_error(const gpt2_generator *generator);

/* ----------------------------------------------------------------------------------- scoring -- */

typedef struct gpt2_score_params {
    uint32_t struct_size;      /* set by gpt2_score_params_init() */
    int32_t n_likeliest;       /* likeliest tokens to tell at each place, 0 (default) to n_vocab */
    const uint8_t *class_mask; /* optional: a class of tokens, such as those that begin a word.  Bit
                                  id % 8, from the lowest, of class_mask[id / 8] is 1 for those in
                                  the class.  [n_vocab / 8] bytes, rounded up */
} gpt2_score_params;

/* As gpt2_model_params_init(). */
GPT2_API int32_t gpt2_score_params_init(gpt2_score_params *params, size_t struct_size);

/* What the model says about one token, given all tokens before it.  This struct never changes. */
typedef struct gpt2_token_score {
    int32_t id;        /* the token */
    int32_t rank;      /* 1 + the number of tokens with larger logits */
    double logprob;    /* natural logarithm of its probability; -infinity if its logit is that */
    double entropy;    /* of the distribution that the token is from, in nats */
    double class_prob; /* probability that the token is in class_mask's class; 0 without a class */
} gpt2_token_score;

/* A token and its log-probability.  This struct never changes. */
typedef struct gpt2_token_logprob {
    int32_t id;
    float logprob;
} gpt2_token_logprob;

/*
 * One sequence's part of a call.  The first n_prefix tokens are not scored.  scores[i] and
 * likeliest[i] are about tokens[n_prefix + i]; there are n_tokens - n_prefix.  This struct never
 * changes.
 */
typedef struct gpt2_score_item {
    int32_t sequence;              /* an open one; each at most once in a call */
    int32_t reserved;              /* 0 */
    const int32_t *tokens;         /* borrowed for the call */
    size_t n_tokens;               /* 2 or more */
    size_t n_prefix;               /* 1 to n_tokens - 1: nothing predicts tokens[0] */
    gpt2_token_score *scores;      /* receives [n_tokens - n_prefix] */
    gpt2_token_logprob *likeliest; /* receives [n_tokens - n_prefix, n_likeliest], each row from
                                       the likeliest on, the lower id first on ties; NULL if
                                       n_likeliest is 0 */
} gpt2_score_item;

/*
 * gpt2_score() scores given tokens: how likely the model finds each of them after those before it.
 *
 *   items    as of gpt2_forward_batch(): many sequences run together, each gets the bits that it
 *            gets alone
 *   params   NULL for the defaults
 *
 * It appends all tokens of an item but the last to its sequence: the last one is only predicted.
 * So a long text can be scored in several calls, each of which begins with the last token of the
 * one before.  To go on after the text, run the last token with gpt2_forward().  A text of
 * n_ctx + 1 tokens fits into an empty sequence.
 *
 * To compare ways in which a text goes on, run the text without its last token, fork the sequence
 * for each way, and score in one call items of that last token and the way's tokens, with
 * n_prefix 1.
 *
 * Logits are not kept: after the call gpt2_session_logits() fails with GPT2_ERR_ROW.  They are
 * computed and scored in chunks of as many rows as the session's n_logit_rows, at most 64.  Each
 * chunk reads the weights of lm_head once, so a session that scores long texts should have 64.
 *
 * All or nothing: on failure every sequence is as before.  Then do not read 'scores' and
 * 'likeliest'.  GPT2_ERR_NONFINITE says that some logit is NaN or +infinity, or all of one row
 * are -infinity.
 * Errors: those of gpt2_forward_batch(), _NONFINITE.
 */
GPT2_API int32_t gpt2_score(gpt2_session *session, const gpt2_score_item *items, size_t n_items,
                            const gpt2_score_params *params);

/*
 * gpt2_score_logits() scores one token by logits [n_vocab] of the caller, borrowed for the call,
 * such as those of gpt2_batch_logits() that a token was drawn from.
 *
 *   token       whose score is wanted, 0 to n_vocab - 1
 *   params      NULL for the defaults
 *   score       receives its score
 *   likeliest   receives [n_likeliest], as in gpt2_score_item; NULL if n_likeliest is 0
 *
 * It gives the bits that gpt2_score() gives.  After a failure do not read 'score' and 'likeliest'.
 * Errors: GPT2_ERR_TOKEN, _NONFINITE, _ARGUMENT.
 */
GPT2_API int32_t gpt2_score_logits(gpt2_session *session, const float *logits, int32_t token,
                                   const gpt2_score_params *params, gpt2_token_score *score,
                                   gpt2_token_logprob *likeliest);

/* -------------------------------------------------------------------------------------- taps -- */

/*
 * Points inside the forward pass where a caller can read and change the activations.  In the
 * shapes, t is the number of new tokens and past the number of positions before them.  n_kv_head is
 * the number of key and value heads: n_head, so that qkv is [t, 3 n_embd], or 1 with multi-query
 * attention.  qkv is what c_attn gives: all q, then all k, then all v; or, in a GPTBigCode without
 * multi_query, q, k and v of the first head, then those of the next.
 */
#define GPT2_TAP_EMBED 0 /* embed             [t, n_embd]     wte[id] + wpe[position] */
#define GPT2_TAP_LN_1  1 /* h.N.ln_1          [t, n_embd]     first norm */
#define GPT2_TAP_ATTN_QKV \
    2 /* h.N.attn.qkv      [t, (n_head + 2 n_kv_head) head_dim]   c_attn: q, k, v side by side */
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
 * One part of an activation.  Rows are tokens of one sequence.  A step shows one part of each; the
 * scores and probs of each head come in parts of at most 64 rows, and so do the logits of
 * gpt2_score().  ln_f and logits are shown only for the rows whose logits were asked for.
 */
typedef struct gpt2_tap {
    uint32_t struct_size; /* as this library knows it; a newer library may have more fields */
    int32_t kind;         /* GPT2_TAP_* */
    int32_t layer;        /* from 0; -1 for embed, ln_f and logits */
    int32_t head;         /* from 0 for scores and probs; else -1 */
    int32_t first_row;    /* the part's first token, counted in this call's tokens of the sequence;
                               below 0 for one of an earlier call.  Tokens that run again after a
                               cut are shown again */
    int32_t first_position; /* the same token's position in the text */
    int32_t n_rows;
    int32_t n_columns; /* for scores and probs: positions of the context up to the part's last
                               row: first_position + n_rows, without tokens that were cut off.  All
                               later ones are masked in every row of the part */
    size_t row_stride; /* floats from one row to the next */
    float *data;       /* [n_rows, n_columns], valid during the callback; may be changed */
    int32_t sequence;  /* whose rows they are */
    int32_t reserved;  /* 0 */
} gpt2_tap;

/*
 * Runs on the thread that called gpt2_forward(), in the floating-point state of the caller.
 * A result other than 0 ends the call with GPT2_ERR_CANCELLED.  The callback must return: no C++
 * exception, Rust panic or longjmp() may leave it.
 */
typedef int32_t (*gpt2_tap_callback)(void *user, const gpt2_tap *tap);

/*
 * gpt2_session_set_tap() sets the callback for every point whose GPT2_TAP_BIT is in 'kinds', from
 * the next gpt2_forward() on.  NULL or 0 switches taps off; then they cost nothing.  A callback
 * that changes no data changes no bit of any result.  It must not call functions on its session
 * except gpt2_session_cancel(): while gpt2_forward() runs, those that return a status fail with
 * GPT2_ERR_ARGUMENT.  It must never free its session.
 * Errors: GPT2_ERR_ARGUMENT.
 */
GPT2_API int32_t gpt2_session_set_tap(gpt2_session *session, gpt2_tap_callback callback, void *user,
                                      uint32_t kinds);

/*
 * gpt2_tap_name() writes the name of a point, such as "h.3.attn.qkv", and a NUL; 32 bytes are
 * always enough.  'layer' is ignored for points outside the blocks.
 * Errors: GPT2_ERR_ARGUMENT, _BUFFER.
 */
GPT2_API int32_t gpt2_tap_name(int32_t kind, int32_t layer, char *name, size_t capacity);

#ifdef __cplusplus
}
#endif

#endif
