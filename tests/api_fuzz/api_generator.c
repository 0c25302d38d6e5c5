/*
 * api_generator.c: generators.  A plain model foretells which of them run; gpt2_batch_sample() on the
 * rows that they leave and a plain search in the decoded text tell what each must give.
 */
#include "api_session.h"

enum {
    N_GENERATORS = 10,
    MAX_PROMPT = FUZZ_MAX_TOKENS + 2,
    MAX_DRAWN = 300, /* then it is started again */
    MAX_STRINGS = 2,
    MAX_LISTED = 9,
};

static struct generator {
    gpt2_generator *handle;
    unsigned char *block; /* that it was made in; NULL: its own */
    struct fuzz_session *session;
    int32_t eot, stop_id; /* -1: none */
    char strings[MAX_STRINGS][4];
    size_t n_strings;

    bool is_started, is_first; /* its prompt has not run */
    int32_t finish, sequence;
    bool has_line;
    int32_t prompts[2][MAX_PROMPT]; /* of the last start that was right, and of the next */
    size_t which, n_prompt;
    int64_t max_tokens;
    gpt2_sample_params sampling;
    float host_mus[2]; /* mirostat's state, as the prompts; if has_host_mu */
    bool has_host_mu;
    float mu;               /* the same, as it should be */
    int32_t first_position; /* of the first token that was drawn */
    int32_t drawn[MAX_DRAWN + 1];
    size_t n_drawn;
    size_t n_given; /* bytes */
} generators[N_GENERATORS];

/* ------------------------------------------------------------------------------ create and free -- */

static void free_generator(struct generator *generator)
{
    fuzz_call(FUZZ_gpt2_generator_free, "%s", generator->handle == NULL ? "NULL" : "given");
    gpt2_generator_free(generator->handle);
    free(generator->block);
    memset(generator, 0, sizeof *generator);
}

void fuzz_generators_free(const struct fuzz_session *session)
{
    for (size_t i = 0; i < N_GENERATORS; i++) {
        if (generators[i].handle != NULL && generators[i].session == session)
            free_generator(&generators[i]);
    }
}

void fuzz_generators_check_refused(const struct fuzz_session *session)
{
    for (size_t i = 0; i < N_GENERATORS; i++) {
        struct generator *generator = &generators[i];
        gpt2_generated result;

        if (generator->handle == NULL || generator->session != session)
            continue;
        REQUIRE(gpt2_generator_start(generator->handle, 0, generator->prompts[0], 1, 1, NULL) ==
                        GPT2_ERR_ARGUMENT &&
                    gpt2_generator_step(&generator->handle, 1, &result) == GPT2_ERR_ARGUMENT,
                "found a call on a generator accepted in a callback");
    }
}

static int32_t eot_of(const struct fuzz_model *model)
{
    return model->tokenizer ? 96 : model->eot;
}

/* Fills in what a generator stops at, right or wrong; 'made' is what is wanted. */
static void fill_params(gpt2_generator_params *known, struct generator *made)
{
    static const int32_t wrong[] = {-1, INT32_MAX, INT32_MIN};
    const struct fuzz_model *model = made->session->model;

    if (fuzz_chance(2)) {
        int32_t *ids = fuzz_temp(sizeof *ids);

        known->ignore_eot = 1;
        made->eot = -1;
        made->stop_id = *ids = (int32_t)fuzz_below((size_t)model->n_vocab);
        known->stop_ids = ids;
        known->n_stop_ids = 1;
        if (fuzz_chance(16)) {
            *ids = fuzz_chance(2) ? model->n_vocab : PICK(wrong);
            fuzz_may(true, GPT2_ERR_TOKEN);
        }
        if (fuzz_chance(32)) {
            known->stop_ids = NULL;
            fuzz_may(true, GPT2_ERR_ARGUMENT);
        }
    }
    if (fuzz_chance(16)) {
        known->ignore_eot = fuzz_chance(2) ? 2 : -1;
        fuzz_may(true, GPT2_ERR_ARGUMENT);
    }
    if (known->struct_size >= sizeof *known) { /* of no effect: the models have no shortlist */
        known->shortlist = fuzz_chance(16) ? PICK(wrong) : (int32_t)fuzz_below(2);
        fuzz_may(known->shortlist < 0 || known->shortlist > 1, GPT2_ERR_ARGUMENT);
        /* how far a draft runs ahead depends on the clock, so nothing could be foretold of one */
        known->draft_max = fuzz_chance(16) ? PICK(wrong) : 0;
        fuzz_may(known->draft_max != 0, GPT2_ERR_ARGUMENT);
    }
    made->n_strings = fuzz_below(fuzz_chance(2) || model->tokenizer ? MAX_STRINGS + 1 : 1);
    fuzz_may(made->n_strings > 0 && !model->tokenizer, GPT2_ERR_ARGUMENT);
    if (made->n_strings > 0) {
        const char **strings = fuzz_temp(made->n_strings * sizeof *strings);

        for (size_t i = 0; i < made->n_strings; i++) {
            size_t n = 1 + (fuzz_chance(3) ? fuzz_below(3) : 0);
            char *string = fuzz_temp(n + 1);

            for (size_t k = 0; k < n; k++)
                string[k] = (char)('!' + fuzz_below(94));
            string[n] = '\0';
            strcpy(made->strings[i], string);
            strings[i] = string;
            if (fuzz_chance(32)) {
                string[0] = '\0';
                strings[i] = fuzz_chance(2) ? NULL : string;
                fuzz_may(true, GPT2_ERR_ARGUMENT);
            }
        }
        known->stop_strings = strings;
        known->n_stop_strings = made->n_strings;
    }
}

/* Params for the call that has begun, and what the generator is like that they make. */
static struct fuzz_params make_params(struct generator *made, gpt2_generator_params *known)
{
    struct fuzz_params params = fuzz_params_make(&fuzz_generator_params);

    (void)gpt2_generator_params_init(known, sizeof *known);
    made->eot = eot_of(made->session->model);
    made->stop_id = -1;
    if (params.writable) {
        memcpy(known, params.at, sizeof *known);
        fill_params(known, made);
        memcpy(params.at, known, sizeof *known);
    }
    return params;
}

static void do_size(void)
{
    struct generator made = {.session = fuzz_pick_session()};
    size_t n_bytes = 99, *out = fuzz_chance(16) ? NULL : &n_bytes;
    gpt2_generator_params known;
    struct fuzz_params params;
    bool none = fuzz_chance(16), ok;

    if (made.session == NULL)
        return;
    fuzz_call(FUZZ_gpt2_generator_size, "%s", fuzz_name(made.session));
    params = make_params(&made, &known);
    fuzz_may(none || out == NULL, GPT2_ERR_ARGUMENT);
    ok = fuzz_result(gpt2_generator_size(none ? NULL : made.session->handle, params.at, out));
    fuzz_params_check(&params, ok);
    REQUIRE(out == NULL || (n_bytes > 0) == ok, "found a size of %zu", n_bytes);
}

/* Memory for a generator, sometimes too little; at any address, with any content. */
static void *random_memory(const struct generator *made, const struct fuzz_params *params,
                           unsigned char **block, size_t *n_bytes)
{
    size_t past = fuzz_below(65), wanted = 0;
    gpt2_session *handle = made->session->handle;

    if (gpt2_generator_size(handle, params->at, &wanted) != GPT2_OK)
        wanted = 100; /* something else is wrong, too */
    *n_bytes = wanted;
    if (fuzz_chance(8)) {
        *n_bytes = fuzz_chance(2) ? wanted - 1 : fuzz_below(wanted);
        fuzz_may(true, GPT2_ERR_BUFFER);
    }
    *block = malloc(*n_bytes + past);
    REQUIRE(*block != NULL || *n_bytes + past == 0, "no memory for a test");
    memset(*block, 0xa5, *n_bytes + past);
    return *block + past;
}

/* A new generator where the place is free, by one of two ways; else that generator ends. */
static void do_make(void)
{
    struct generator *generator = &PICK(generators), made = {.session = fuzz_pick_session()};
    gpt2_generator *handle = (gpt2_generator *)generators;
    gpt2_generator **out = fuzz_chance(16) ? NULL : &handle;
    bool none = fuzz_chance(16), in_place = fuzz_chance(2), ok;
    gpt2_generator_params known;
    struct fuzz_params params;
    gpt2_session *of;

    if (generator->handle != NULL || made.session == NULL) {
        free_generator(generator);
        return;
    }
    of = none ? NULL : made.session->handle;
    fuzz_call(in_place ? FUZZ_gpt2_generator_init : FUZZ_gpt2_generator_create, "%s",
              fuzz_name(made.session));
    params = make_params(&made, &known);
    fuzz_may(none || out == NULL, GPT2_ERR_ARGUMENT);
    if (in_place) {
        size_t n_bytes;
        void *memory = random_memory(&made, &params, &made.block, &n_bytes);

        if (fuzz_chance(16)) {
            memory = NULL;
            fuzz_may(true, GPT2_ERR_ARGUMENT);
        }
        ok = fuzz_result(gpt2_generator_init(of, params.at, memory, n_bytes, out));
    } else {
        ok = fuzz_result(gpt2_generator_create(of, params.at, out));
    }
    fuzz_params_check(&params, ok);
    if (!ok) {
        REQUIRE(out == NULL || handle == NULL, "found a generator after a failure, expected NULL");
        free(made.block);
        return;
    }
    made.handle = handle;
    *generator = made;
}

static struct generator *pick_generator(void)
{
    for (int i = 0; i < 8; i++) {
        struct generator *generator = &PICK(generators);

        if (generator->handle != NULL)
            return generator;
    }
    return NULL;
}

/* --------------------------------------------------------------------------------------- start -- */

static void fill_sampling(gpt2_sample_params *known)
{
    static const float temperatures[] = {1.0f, 0.0f, 0.5f, 5.0f};
    static const int64_t positions[] = {-1, -1, 0, 7, INT64_MAX};
    static const int32_t breakers[] = {1, 0};

    known->temperature = PICK(temperatures);
    known->top_k = (int32_t)fuzz_below(5);
    known->seed = fuzz_random();
    known->stream = fuzz_below(3);
    known->position = PICK(positions);
    known->ignores_prompt = fuzz_chance(2);
    known->penalty_window = (int32_t)fuzz_below(6);
    known->repetition_penalty = fuzz_chance(3) ? 1.4f : 1.0f;
    known->presence_penalty = fuzz_chance(3) ? 0.5f : 0.0f;
    known->no_repeat_ngram_size = fuzz_chance(3) ? 1 + (int32_t)fuzz_below(3) : 0;
    known->dry_multiplier = fuzz_chance(3) ? 0.7f : 0.0f;
    known->dry_allowed_length = (int32_t)fuzz_below(3);
    known->dry_breakers = breakers;
    known->n_dry_breakers = fuzz_below(COUNT(breakers) + 1);
    known->mirostat_tau = fuzz_chance(3) ? 2.0f : 0.0f;
    if (fuzz_chance(48)) {
        known->history = breakers;
        known->n_history = fuzz_below(COUNT(breakers) + 1);
        fuzz_may(true, GPT2_ERR_ARGUMENT);
    }
    if (fuzz_chance(16)) {
        known->temperature = -1.0f;
        fuzz_may(true, GPT2_ERR_ARGUMENT);
    }
}

/* A prompt for a sequence, and what is wrong with it. */
static void fill_prompt(struct generator *next)
{
    const struct fuzz_session *session = next->session;
    bool is_text = next->sequence >= 0 && next->sequence < session->n_sequences;
    size_t n_free = is_text ? (size_t)(session->n_ctx - session->texts[next->sequence].n_ids) : 3;
    size_t n_vocab = (size_t)session->model->n_vocab;

    next->which = 1 - next->which;
    next->n_prompt = 1 + fuzz_below(fuzz_chance(8) ? n_free + 1 : 3);
    for (size_t i = 0; i < next->n_prompt; i++)
        next->prompts[next->which][i] = (int32_t)fuzz_below(n_vocab);
    if (fuzz_chance(32)) {
        next->prompts[next->which][fuzz_below(next->n_prompt)] = (int32_t)n_vocab;
        fuzz_may(true, GPT2_ERR_TOKEN);
    }
    fuzz_may(!session->shifts && next->n_prompt > n_free, GPT2_ERR_CONTEXT);
}

static void start(struct generator *generator)
{
    static const int64_t limits[] = {-1, -1, 0, 1, 2, 20, INT64_MAX};
    struct generator next = *generator;
    size_t n_said;
    struct fuzz_params params;
    bool ok;

    fuzz_call(FUZZ_gpt2_generator_start, " ");
    next.sequence = fuzz_pick_sequence(next.session);
    fill_prompt(&next);
    n_said = fuzz_chance(48) ? 0 : next.n_prompt;
    fuzz_may(n_said == 0, GPT2_ERR_ARGUMENT);
    next.max_tokens = PICK(limits);
    if (fuzz_chance(48)) {
        next.max_tokens = fuzz_chance(2) ? -2 : INT64_MIN;
        fuzz_may(true, GPT2_ERR_ARGUMENT);
    }
    params = fuzz_params_make(&fuzz_sample_params);
    (void)gpt2_sample_params_init(&next.sampling, sizeof next.sampling);
    next.has_host_mu = false;
    next.mu = 4.0f;
    next.host_mus[next.which] = generator->host_mus[next.which] = next.mu;
    if (params.writable) {
        memcpy(&next.sampling, params.at, sizeof next.sampling);
        fill_sampling(&next.sampling);
        next.has_host_mu = fuzz_chance(2);
        next.sampling.mirostat_mu = next.has_host_mu ? &generator->host_mus[next.which] : NULL;
        memcpy(params.at, &next.sampling, sizeof next.sampling);
        next.sampling.struct_size = sizeof next.sampling;
    }
    memcpy(generator->prompts, next.prompts, sizeof next.prompts); /* where they stay */
    fuzz_say("%s, sequence %d, n_ids %zu, max_tokens %lld", fuzz_name(next.session),
             (int)next.sequence, n_said, (long long)next.max_tokens);
    ok = fuzz_result(gpt2_generator_start(generator->handle, next.sequence,
                                          generator->prompts[next.which], n_said, next.max_tokens,
                                          params.at));
    if (ok) {
        next.is_started = next.is_first = true;
        next.finish = GPT2_FINISH_NOT_YET;
        next.has_line = false;
        next.n_drawn = next.n_given = 0;
        *generator = next;
    }
    fuzz_session_settle(generator->session, ok, false);
}

static void do_start(void)
{
    struct generator *generator = pick_generator();

    if (generator != NULL)
        start(generator);
}

/* ---------------------------------------------------------------------------------------- step -- */

/* A step, and what is foretold of it. */
struct step {
    struct fuzz_session *session;
    struct generator *listed[MAX_LISTED];
    gpt2_generator *handles[MAX_LISTED];
    size_t n;
    int32_t finish[MAX_LISTED]; /* before the forward call; NOT_YET: its tokens run */
    gpt2_batch_item items[MAX_LISTED];
    size_t n_items;
    gpt2_generated results[MAX_LISTED];
};

/* What a generator does in the step; says with fuzz_may() if it must be refused. */
static void foretell(struct step *step, size_t i)
{
    const struct fuzz_session *session = step->session;
    struct generator *generator = step->listed[i];
    const struct fuzz_text *text;
    size_t n = generator->is_first ? generator->n_prompt : 1;

    step->finish[i] = generator->finish;
    if (generator->finish == GPT2_FINISH_NOT_YET &&
        (int64_t)generator->n_drawn == generator->max_tokens)
        step->finish[i] = GPT2_FINISH_LENGTH;
    if (step->finish[i] != GPT2_FINISH_NOT_YET)
        return;
    fuzz_may(step->n_items == (size_t)session->n_sequences, GPT2_ERR_ARGUMENT); /* too many */
    if (!session->texts[generator->sequence].is_open) {
        fuzz_may(true, GPT2_ERR_SEQUENCE);
        step->finish[i] = GPT2_FINISH_ERROR; /* it is no item */
        return;
    }
    text = &session->texts[generator->sequence];
    if (!session->shifts && n > (size_t)(session->n_ctx - text->n_ids)) {
        step->finish[i] = GPT2_FINISH_CONTEXT;
        return;
    }
    step->items[step->n_items++] = (gpt2_batch_item){
        .sequence = generator->sequence,
        .tokens = generator->is_first ? generator->prompts[generator->which]
                                      : &generator->drawn[generator->n_drawn - 1],
        .n_tokens = n,
        .n_logit_rows = 1,
    };
}

/* What the items together may break, and which find no pages. */
static void foretell_items(struct step *step)
{
    const struct fuzz_session *session = step->session;
    int32_t n_free = fuzz_n_free_pages(session);
    size_t item = 0, n_left = 0;

    for (size_t i = 0; i < step->n_items; i++) {
        for (size_t k = 0; k < i; k++)
            fuzz_may(step->items[i].sequence == step->items[k].sequence, GPT2_ERR_ARGUMENT);
    }
    fuzz_may(step->n_items > (size_t)session->n_logit_rows, GPT2_ERR_ARGUMENT);
    for (size_t i = 0; i < step->n; i++) {
        int32_t n_pages;

        if (step->finish[i] != GPT2_FINISH_NOT_YET)
            continue;
        n_pages =
            fuzz_pages_to_run(session, step->items[item].sequence, step->items[item].n_tokens);
        if (n_pages > n_free) {
            step->finish[i] = GPT2_FINISH_PAGES;
        } else {
            n_free -= n_pages;
            step->items[n_left++] = step->items[item];
        }
        item++;
    }
    step->n_items = n_left;
}

static bool lists(const struct step *step, const struct generator *generator)
{
    for (size_t i = 0; i < step->n; i++) {
        if (step->listed[i] == generator)
            return true;
    }
    return false;
}

/* Chooses generators of one session, sometimes one too many. */
static bool choose(struct step *step)
{
    struct generator *first = pick_generator();
    size_t begin = fuzz_below(N_GENERATORS);

    if (first == NULL)
        return false;
    step->session = first->session;
    step->listed[step->n++] = first;
    for (size_t i = 0; i < N_GENERATORS && step->n < MAX_LISTED - 1; i++) {
        struct generator *other = &generators[(begin + i) % N_GENERATORS];

        if (other->handle != NULL && other->session == step->session && !lists(step, other) &&
            (other->is_started || fuzz_chance(24)) && !fuzz_chance(4))
            step->listed[step->n++] = other;
    }
    for (size_t i = 0; i < step->n; i++) {
        if (step->listed[i]->n_drawn == MAX_DRAWN || fuzz_chance(40) ||
            (!step->listed[i]->is_started && !fuzz_chance(24)))
            start(step->listed[i]);
        if (step->listed[i]->n_drawn == MAX_DRAWN)
            return false;
    }
    return true;
}

/* A list that is wrong as a whole. */
static bool spoil(struct step *step)
{
    struct generator *other = pick_generator();

    switch (fuzz_below(4)) {
    case 0:
        step->handles[fuzz_below(step->n)] = NULL;
        return true;
    case 1:
        if (other == NULL || other->session == step->session)
            return false;
        step->handles[step->n++] = other->handle;
        return true;
    default:
        return false;
    }
}

/* The whole text that was drawn, without a stop token. */
static size_t decode(const struct generator *generator, bool without_last, char *text,
                     size_t capacity)
{
    const gpt2_tokenizer *tokenizer = gpt2_model_tokenizer(generator->session->model->model);
    size_t n_bytes = 0;

    if (tokenizer != NULL)
        REQUIRE(gpt2_decode(tokenizer, generator->drawn, generator->n_drawn - without_last, text,
                            capacity, &n_bytes, NULL, 0) == GPT2_OK,
                "found ids that cannot be decoded");
    return n_bytes;
}

static size_t stop_begin(const struct generator *generator, const char *text, size_t n_text)
{
    for (size_t end = 1; end <= n_text; end++) {
        size_t longest = 0;

        for (size_t i = 0; i < generator->n_strings; i++) {
            size_t n = strlen(generator->strings[i]);

            if (n <= end && n > longest && memcmp(text + end - n, generator->strings[i], n) == 0)
                longest = n;
        }
        if (longest > 0)
            return end - longest;
    }
    return SIZE_MAX;
}

static size_t n_held(const struct generator *generator, const char *text, size_t n_text)
{
    size_t held = 0;

    for (size_t i = 0; i < generator->n_strings; i++) {
        for (size_t n = strlen(generator->strings[i]) - 1; n > held; n--) {
            if (n <= n_text && memcmp(text + n_text - n, generator->strings[i], n) == 0)
                held = n;
        }
    }
    return held;
}

/* The text that the step gave, of tokens that are ASCII or nothing. */
static void check_text(struct generator *generator, const gpt2_generated *result)
{
    static char text[(MAX_DRAWN + 1) * 16];
    size_t n_text = decode(generator, result->finish == GPT2_FINISH_TOKEN, text, sizeof text);
    size_t begin = stop_begin(generator, text, n_text), n_wanted = n_text;

    REQUIRE((begin != SIZE_MAX) == (result->finish == GPT2_FINISH_STRING),
            "found finish %d, a stop string is %s", (int)result->finish,
            begin == SIZE_MAX ? "not there" : "there");
    if (begin != SIZE_MAX)
        n_wanted = begin;
    else if (result->finish == GPT2_FINISH_NOT_YET)
        n_wanted -= n_held(generator, text, n_text);
    REQUIRE(generator->n_given + result->n_bytes == n_wanted &&
                memcmp(result->text, text + generator->n_given, result->n_bytes) == 0,
            "found %zu bytes of text after %zu, expected %zu in all", result->n_bytes,
            generator->n_given, n_wanted);
    generator->n_given = n_wanted;
}

/* The history that the next draw should see: of the record's text. */
static void look_back(struct generator *generator, const struct fuzz_session *session,
                      gpt2_sample_params *sampling)
{
    const struct fuzz_text *text = &session->texts[generator->sequence];
    int32_t first = 0; /* in the context */

    if (generator->is_first)
        generator->first_position = text->n_ids + text->n_cut;
    if (sampling->ignores_prompt != 0) {
        while (first < text->n_ids &&
               first + (first < session->n_keep ? 0 : text->n_cut) < generator->first_position)
            first++;
    }
    sampling->history = text->ids + first;
    sampling->n_history = (size_t)(text->n_ids - first);
    sampling->mirostat_mu = &generator->mu;
}

/* Of a generator whose tokens have run as item 'item'. */
static void check_drawn(struct step *step, size_t i, size_t item)
{
    const struct fuzz_session *session = step->session;
    struct generator *generator = step->listed[i];
    const gpt2_generated *result = &step->results[i];
    gpt2_sample_params sampling = generator->sampling;
    int32_t id = 77, wanted = GPT2_FINISH_NOT_YET;
    int32_t status;

    look_back(generator, session, &sampling);
    status = gpt2_batch_sample(session->handle, item, GPT2_LAST_ROW, &sampling, &id);
    generator->is_first = false;
    REQUIRE(!generator->has_host_mu || generator->host_mus[generator->which] == generator->mu,
            "found mirostat's mu %g, expected %g", (double)generator->host_mus[generator->which],
            (double)generator->mu);
    if (status != GPT2_OK) {
        REQUIRE(result->finish == GPT2_FINISH_ERROR && result->id == -1,
                "found finish %d and id %d, no token can be drawn", (int)result->finish,
                (int)result->id);
        generator->has_line = true;
        return;
    }
    REQUIRE(result->id == id, "found id %d, expected %d", (int)result->id, (int)id);
    generator->drawn[generator->n_drawn++] = id;
    if (generator->sampling.position >= 0 && generator->sampling.position < INT64_MAX)
        generator->sampling.position++;
    if (id == generator->eot || id == generator->stop_id)
        wanted = GPT2_FINISH_TOKEN;
    else if (result->finish == GPT2_FINISH_STRING)
        wanted = GPT2_FINISH_STRING; /* check_text() says whether it is so */
    else if ((int64_t)generator->n_drawn == generator->max_tokens)
        wanted = GPT2_FINISH_LENGTH;
    else if (!session->shifts && session->texts[generator->sequence].n_ids == session->n_ctx)
        wanted = GPT2_FINISH_CONTEXT;
    REQUIRE(result->finish == wanted, "found finish %d, expected %d", (int)result->finish,
            (int)wanted);
}

/* Of a generator whose tokens have not run: 'finish' was foretold, or tells of an interruption. */
static void check_not_run(struct step *step, size_t i, int32_t finish)
{
    struct generator *generator = step->listed[i];
    const gpt2_generated *result = &step->results[i];

    REQUIRE(result->id == -1 && result->finish == finish, "found id %d, finish %d, expected %d",
            (int)result->id, (int)result->finish, (int)finish);
    if (generator->finish == GPT2_FINISH_NOT_YET)
        generator->has_line = finish >= GPT2_FINISH_CONTEXT;
    else
        REQUIRE(result->n_bytes == 0, "found text after the end");
}

/* How the forward call ended: GPT2_OK, or it was ended early. */
static int32_t forward_status(const struct step *step)
{
    for (size_t i = 0; i < step->n; i++) {
        if (step->finish[i] != GPT2_FINISH_NOT_YET)
            continue;
        if (step->results[i].finish == GPT2_FINISH_CANCELLED)
            return GPT2_ERR_CANCELLED;
        if (step->results[i].finish == GPT2_FINISH_DEADLINE)
            return GPT2_ERR_DEADLINE;
        return GPT2_OK;
    }
    return GPT2_OK;
}

/* The record after a step that was right; '*changes' receives whether tokens have run. */
static int32_t record(struct step *step, bool *changes)
{
    struct fuzz_session *session = step->session;
    int32_t status = forward_status(step);
    bool late = session->deadline_ns > 0 && session->deadline_ns < 1000000000;
    bool cancelled = session->cancelled || session->stopped || session->cancelled_by_tap;

    *changes = false;
    if (step->n_items == 0)
        return GPT2_OK;
    REQUIRE((status == GPT2_OK) == (!late && !cancelled) && (status != GPT2_ERR_DEADLINE || late) &&
                (status != GPT2_ERR_CANCELLED || cancelled),
            "found status %d of the forward call", (int)status);
    if (status == GPT2_OK) {
        fuzz_check_rows_seen(session);
        fuzz_forward_append(session);
        *changes = true;
    } else {
        fuzz_forward_keep(session, status);
    }
    return status;
}

/* No generator drafts, see fill_params(). */
static void check_drafts(const struct generator *generator)
{
    uint64_t n_drafted = 1, n_accepted = 1, *out = fuzz_chance(16) ? NULL : &n_accepted;
    bool none = fuzz_chance(16);

    fuzz_call(FUZZ_gpt2_generator_drafted, "after a step");
    fuzz_may(none || out == NULL, GPT2_ERR_ARGUMENT);
    if (fuzz_result(gpt2_generator_drafted(none ? NULL : generator->handle, &n_drafted, out)))
        REQUIRE(n_drafted == 0 && n_accepted == 0, "found guesses of a generator without drafts");
}

static void check_results(struct step *step, int32_t status)
{
    int32_t ended = status == GPT2_ERR_CANCELLED ? GPT2_FINISH_CANCELLED : GPT2_FINISH_DEADLINE;
    size_t item = 0;

    for (size_t i = 0; i < step->n; i++) {
        struct generator *generator = step->listed[i];
        bool was_running = generator->finish == GPT2_FINISH_NOT_YET;

        if (step->finish[i] != GPT2_FINISH_NOT_YET)
            check_not_run(step, i, step->finish[i]);
        else if (status != GPT2_OK)
            check_not_run(step, i, ended);
        else
            check_drawn(step, i, item++);
        generator->finish = step->results[i].finish;
        if (was_running)
            check_text(generator, &step->results[i]);
        fuzz_call(FUZZ_gpt2_generator_error, "after a step");
        fuzz_check_line(gpt2_generator_error(generator->handle), !generator->has_line);
        if (fuzz_chance(16))
            check_drafts(generator);
    }
}

static void do_step(void)
{
    struct step step = {.n = 0};
    bool no_results = fuzz_chance(48), is_spoilt, changes;
    int32_t status;

    if (!choose(&step))
        return;
    fuzz_call(FUZZ_gpt2_generator_step, " ");
    for (size_t i = 0; i < step.n; i++) {
        step.handles[i] = step.listed[i]->handle;
        fuzz_may(!step.listed[i]->is_started, GPT2_ERR_ARGUMENT);
        if (step.listed[i]->is_started)
            foretell(&step, i);
    }
    is_spoilt = fuzz_chance(24) && spoil(&step);
    fuzz_may(is_spoilt || no_results, GPT2_ERR_ARGUMENT);
    foretell_items(&step);
    fuzz_forward_begin(step.session, step.items, step.n_items);
    fuzz_say("%s, n %zu", fuzz_name(step.session), step.n);
    if (!fuzz_result(gpt2_generator_step(step.handles, step.n, no_results ? NULL : step.results))) {
        if (step.handles[0] == NULL)
            return;
        fuzz_session_settle(step.session, false, false);
        return;
    }
    status = record(&step, &changes);
    fuzz_session_settle(step.session, true, changes);
    check_results(&step, status);
    (void)snprintf(step.session->line, sizeof step.session->line, "%s",
                   gpt2_session_error(step.session->handle)); /* of the samples that compare */
}

const struct fuzz_action fuzz_generator_actions[] = {
    {do_make, 14}, {do_size, 4}, {do_start, 30}, {do_step, 120}, {NULL, 0},
};
