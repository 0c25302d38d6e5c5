/*
 * gpt2.hpp: libgpt2 for C++11 and later: objects free what they have, a call that fails throws, ids and
 * texts are containers.  get() gives what the functions of gpt2.h want, which has all the rest.
 */
#ifndef GPT2_HPP
#define GPT2_HPP

#include "gpt2.h"

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace gpt2 {

inline void check(int32_t status, const char *line = "")
{
    if (status != GPT2_OK)
        throw std::runtime_error(*line != '\0' ? line : gpt2_strerror(status));
}

/* Params with their defaults: auto p = gpt2::defaults(gpt2_session_params_init); p.n_threads = 2; */
template <class Params> Params defaults(int32_t (*init)(Params *, size_t))
{
    Params params;
    check(init(&params, sizeof params));
    return params;
}

/* An object, and the function that frees it. */
template <class T, void (*Free)(T *)> struct Owned {
    struct Freed { void operator()(T *object) const { Free(object); } };
    std::unique_ptr<T, Freed> owned;
    T *get() const { return owned.get(); }

    template <class Params, class From, class Make> void make(Make function, Params params, From from)
    {
        char line[GPT2_ERRBUF_BYTES] = "";
        T *made = nullptr;
        params.errbuf = line;
        params.errbuf_size = sizeof line;
        check(function(from, &params, &made), line);
        owned.reset(made);
    }
};

/* Threads may share it. */
struct Model : Owned<gpt2_model, gpt2_model_free> {
    explicit Model(const std::string &path, gpt2_model_params params = defaults(gpt2_model_params_init))
    {
        make(gpt2_model_load, params, path.c_str());
    }
    /* The ids of a text; GPT2_ENCODE_SPECIAL may be in 'flags'. */
    std::vector<int32_t> encode(const std::string &text, uint32_t flags = 0) const
    {
        Owned<gpt2_encoder, gpt2_encoder_free> encoder;
        std::vector<int32_t> ids(2 * text.size() + 1);
        size_t n_ids = 0;
        encoder.make(gpt2_encoder_create, defaults(gpt2_encoder_params_init), gpt2_model_tokenizer(get()));
        check(gpt2_encode(encoder.get(), text.data(), text.size(), flags, ids.data(), ids.size(), &n_ids),
              gpt2_encoder_error(encoder.get()));
        ids.resize(n_ids);
        return ids;
    }
};

/* One thread uses it at a time.  The model must outlive it. */
struct Session : Owned<gpt2_session, gpt2_session_free> {
    explicit Session(const Model &model, gpt2_session_params params = defaults(gpt2_session_params_init))
    {
        make(gpt2_session_create, params, model.get());
    }
    /* Continues sequence 0 with a prompt and up to max_tokens tokens, -1: no limit.  on_text(const
       std::string &) gets each part of the new text as soon as it is certain.  Returns GPT2_FINISH_*. */
    template <class OnText>
    int32_t generate(const std::vector<int32_t> &ids, int64_t max_tokens, OnText on_text,
                     const gpt2_sample_params &sampling = defaults(gpt2_sample_params_init))
    {
        Owned<gpt2_generator, gpt2_generator_free> owner;
        owner.make(gpt2_generator_create, defaults(gpt2_generator_params_init), get());
        gpt2_generator *generator = owner.get();
        gpt2_generated step = gpt2_generated();
        check(gpt2_generator_start(generator, 0, ids.data(), ids.size(), max_tokens, &sampling),
              gpt2_session_error(get()));
        do {
            check(gpt2_generator_step(&generator, 1, &step), gpt2_session_error(get()));
            if (step.n_bytes > 0)
                on_text(std::string(step.text, step.n_bytes));
        } while (step.finish == GPT2_FINISH_NOT_YET);
        if (*gpt2_generator_error(generator) != '\0')
            throw std::runtime_error(gpt2_generator_error(generator));
        return step.finish;
    }
};

} // namespace gpt2

#endif
