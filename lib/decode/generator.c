/*
 * generator.c: from tokens to text, and where it ends.
 */
#include "generator.h"
#include "../text/unicode.h"
#include "../text/vocabulary.h"

/* ------------------------------------------------------------------------------------- layout -- */

static size_t longest_token(const gpt2_tokenizer *tokenizer)
{
    size_t longest = 0;

    for (int32_t i = 0; tokenizer != NULL && i < tokenizer->n_vocab; i++)
        longest = gpt2i_max(longest, tokenizer->offsets[i + 1] - tokenizer->offsets[i]);
    return longest;
}

static size_t longest_stop(const gpt2_generator_params *params)
{
    size_t longest = 0;

    for (size_t i = 0; i < params->n_stop_strings; i++)
        longest = gpt2i_max(longest, strlen(params->stop_strings[i]));
    return longest;
}

/*
 * Room for what is kept back, and the tokens of a step.  Kept back are fewer bytes than a stop string has,
 * and before them up to 3 bytes of a character.
 */
static uint64_t text_bytes(const gpt2_tokenizer *tokenizer, const gpt2_generator_params *params)
{
    uint64_t n_tokens = 1 + (uint64_t)params->draft_max;

    return (uint64_t)longest_stop(params) + 4 + n_tokens * longest_token(tokenizer);
}

gpt2_generator *gpt2i_generator_layout(struct gpt2i_arena *arena, const gpt2_session *session,
                                       const gpt2_generator_params *params)
{
    const gpt2_model *model = session->model;
    gpt2_generator *generator = gpt2i_arena_take(arena, 1, sizeof *generator);
    int32_t *stop_ids = gpt2i_arena_take(arena, params->n_stop_ids, sizeof *stop_ids);
    struct gpt2i_stops stops =
        gpt2i_stops_layout(arena, params->stop_strings, params->n_stop_strings);
    size_t draft_max = (size_t)params->draft_max;
    int32_t *draft_tokens = gpt2i_arena_take(arena, 1 + draft_max, sizeof *draft_tokens);
    struct gpt2i_ready *ready = gpt2i_arena_take(arena, draft_max, sizeof *ready);
    char *text = gpt2i_arena_take(arena, text_bytes(model->tokenizer, params), 1);

    if (generator == NULL)
        return NULL;
    memset(generator, 0, sizeof *generator);
    generator->tokenizer = model->tokenizer;
    if (params->n_stop_ids > 0)
        memcpy(stop_ids, params->stop_ids, params->n_stop_ids * sizeof *stop_ids);
    generator->stop_ids = stop_ids;
    generator->n_stop_ids = params->n_stop_ids;
    generator->stops = stops;
    generator->eot = model->tokenizer != NULL ? model->tokenizer->eot : model->eot_token;
    if (params->ignore_eot != 0)
        generator->eot = -1;
    generator->uses_shortlist = params->shortlist != 0;
    generator->draft.max = params->draft_max;
    generator->draft.tokens = draft_tokens;
    generator->ready = ready;
    generator->text = text;
    return generator;
}

/* --------------------------------------------------------------------------------------- text -- */

void gpt2i_generator_begin(gpt2_generator *generator, int32_t sequence, const int32_t *ids,
                           size_t n_ids, int64_t max_tokens, const gpt2_sample_params *sampling)
{
    generator->is_started = true;
    generator->finish = GPT2_FINISH_NOT_YET;
    generator->sequence = sequence;
    generator->first_position = -1;
    generator->pending = ids;
    generator->n_pending = n_ids;
    generator->n_left = max_tokens;
    generator->sampling = *sampling;
    generator->mirostat_mu =
        sampling->mirostat_tau < FLT_MAX / 2.0f ? 2.0f * sampling->mirostat_tau : FLT_MAX;
    if (sampling->mirostat_mu == NULL)
        generator->sampling.mirostat_mu = &generator->mirostat_mu;
    gpt2i_draft_reset(&generator->draft);
    generator->n_drafted = 0;
    generator->n_ready_tokens = generator->next_ready = 0;
    generator->n_given = generator->n_ready = 0;
    generator->n_text = 0;
    generator->error[0] = '\0';
    gpt2i_stops_reset(&generator->stops);
}

void gpt2i_generator_look_back(gpt2_generator *generator, const struct gpt2i_sequence *sequence,
                               int32_t n_behind)
{
    int32_t n_ids = sequence->n_ids - n_behind;
    int32_t n_keep = generator->session->sequences.n_keep;
    int32_t first = 0; /* in the context, of the tokens that the draw sees */

    if (generator->first_position < 0)
        generator->first_position = gpt2i_sequence_position(sequence) - n_behind;
    if (generator->sampling.ignores_prompt != 0)
        first = generator->first_position;
    if (first > n_keep && first < n_keep + sequence->n_cut)
        first = n_keep; /* it was cut off */
    else if (first > n_keep)
        first -= sequence->n_cut;
    if (first > n_ids)
        first = n_ids; /* the host has truncated the text */
    generator->sampling.history = sequence->ids + first;
    generator->sampling.n_history = (size_t)(n_ids - first);
}

static bool is_stop_id(const gpt2_generator *generator, int32_t id)
{
    bool is_stop = id == generator->eot;

    for (size_t i = 0; i < generator->n_stop_ids; i++)
        is_stop |= id == generator->stop_ids[i];
    return is_stop;
}

/* Forgets the bytes that the last step has given out. */
static void drop_given(gpt2_generator *generator)
{
    generator->n_text -= generator->n_given;
    memmove(generator->text, generator->text + generator->n_given, generator->n_text);
    generator->n_ready -= generator->n_given;
    generator->n_given = 0;
}

/* Appends a token's bytes, or those before a stop string; returns whether there is one. */
static bool append(gpt2_generator *generator, int32_t id)
{
    const char *bytes;
    size_t n_bytes, n_read, n_stop;

    if (generator->tokenizer == NULL ||
        !gpt2i_token_bytes(generator->tokenizer, id, &bytes, &n_bytes))
        return false;
    n_stop = gpt2i_stops_find(&generator->stops, bytes, n_bytes, &n_read);
    if (n_stop > 0)
        n_bytes = n_read;
    memcpy(generator->text + generator->n_text, bytes, n_bytes);
    generator->n_text += n_bytes - n_stop; /* which may be less than before */
    return n_stop > 0;
}

/* How many bytes of the text are certain, and whole characters. */
static size_t n_certain(const gpt2_generator *generator)
{
    size_t n = generator->n_text;

    if (generator->finish != GPT2_FINISH_NOT_YET)
        return n;
    n -= gpt2i_stops_n_held(&generator->stops);
    return n - gpt2i_utf8_unfinished((const unsigned char *)generator->text, n);
}

/* Gives out n_bytes of the text. */
static void give(gpt2_generator *generator, int32_t id, int32_t finish, size_t n_bytes,
                 gpt2_generated *result)
{
    generator->n_given = n_bytes;
    result->id = id;
    result->finish = finish;
    result->text = generator->text;
    result->n_bytes = n_bytes;
}

/* What has become certain is given out, or becomes ready. */
static void give_or_keep(gpt2_generator *generator, int32_t id, gpt2_generated *result)
{
    size_t n_bytes = n_certain(generator) - generator->n_ready;

    generator->n_ready += n_bytes;
    if (result != NULL)
        give(generator, id, generator->finish, n_bytes, result);
    else
        generator->ready[generator->n_ready_tokens++] =
            (struct gpt2i_ready){id, generator->finish, n_bytes};
}

void gpt2i_generator_give_ready(gpt2_generator *generator, gpt2_generated *result)
{
    const struct gpt2i_ready *ready = &generator->ready[generator->next_ready++];

    drop_given(generator);
    give(generator, ready->id, ready->finish, ready->n_bytes, result);
    if (generator->next_ready == generator->n_ready_tokens)
        generator->next_ready = generator->n_ready_tokens = 0;
}

void gpt2i_generator_take(gpt2_generator *generator, int32_t id, bool is_full,
                          gpt2_generated *result)
{
    if (result != NULL)
        drop_given(generator);
    generator->draft.tokens[0] = id;
    generator->pending = generator->draft.tokens;
    generator->n_pending = 1;
    generator->n_left -= generator->n_left > 0;
    if (generator->sampling.position >= 0 && generator->sampling.position < INT64_MAX)
        generator->sampling.position++;
    if (is_stop_id(generator, id))
        generator->finish = GPT2_FINISH_TOKEN;
    else if (append(generator, id))
        generator->finish = GPT2_FINISH_STRING;
    else if (generator->n_left == 0)
        generator->finish = GPT2_FINISH_LENGTH;
    else if (is_full)
        generator->finish = GPT2_FINISH_CONTEXT;
    give_or_keep(generator, id, result);
}

void gpt2i_generator_end(gpt2_generator *generator, int32_t finish, gpt2_generated *result)
{
    if (result != NULL)
        drop_given(generator);
    if (generator->finish == GPT2_FINISH_NOT_YET)
        generator->finish = finish;
    give_or_keep(generator, -1, result);
}
