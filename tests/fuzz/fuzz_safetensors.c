/*
 * fuzz_safetensors.c: any files of a model, through gpt2_model_load().
 *
 * The input is a row of files: a byte 0xff, the file's name up to a line feed, its bytes up to the
 * next 0xff.  A .safetensors file that begins with '{' gets the length of its header put before it;
 * the header then ends at a byte 0xfe, which is left out.  A file that is accepted has tensors that
 * tile its data, and a model that loads runs.
 */
#include "fuzz.h"
#include "formats/tensors.h"
#include "model/model.h"

#define MOST_FILES 6

static const char tiny_config[] = "{\"vocab_size\":3,\"n_positions\":2,\"n_embd\":2,\"n_layer\":1,"
                                  "\"n_head\":1,\"n_inner\":1}";

static bool ends_with(struct part name, const char *end)
{
    size_t n = strlen(end);

    return name.n_bytes >= n && memcmp(name.bytes + name.n_bytes - n, end, n) == 0;
}

/* With the length of its header; to be freed. */
static struct part whole_file(struct part file)
{
    size_t left = file.n_bytes;
    const uint8_t *data = file.bytes;
    struct part header = take_part(&data, &left, 0xfe);
    uint8_t *bytes = take_bytes(8 + header.n_bytes + left);

    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)((uint64_t)header.n_bytes >> 8 * i);
    memcpy(bytes + 8, header.bytes, header.n_bytes);
    memcpy(bytes + 8 + header.n_bytes, data, left);
    return (struct part){bytes, 8 + header.n_bytes + left};
}

/* What the reader of the format promises, whatever the model makes of it. */
static void check_tensors(void)
{
    static struct gpt2i_tensors tensors;
    char line[160] = "";
    struct gpt2i_error error = {line, sizeof line};
    const struct gpt2i_files files = {.list = host_sources, .n_list = host_n_sources};
    int32_t status = gpt2i_safetensors_open(&tensors, &files, "model.safetensors", &error);
    uint64_t sum = 0;

    if (status != GPT2_OK) {
        check_load_failure(status, line);
        return;
    }
    for (size_t i = 0; i < tensors.n_tensors; i++) {
        const struct gpt2i_tensor *tensor = &tensors.items[i];
        uint64_t n = tensor->n_bytes;

        CHECK(i == 0 || strcmp(tensor[-1].name, tensor->name) < 0);
        CHECK(gpt2i_tensors_find(&tensors, tensor->name) == tensor);
        CHECK(tensor->source == tensors.source && tensor->offset <= tensors.source->size_bytes);
        CHECK(n <= tensors.source->size_bytes - tensor->offset);
        CHECK(tensor->n_dims >= 0 && tensor->n_dims <= GPT2I_TENSOR_DIMS);
        for (int32_t d = 0; d < tensor->n_dims && n > 0; d++) {
            CHECK(tensor->dims[d] > 0 && n % tensor->dims[d] == 0);
            n /= tensor->dims[d];
        }
        CHECK(n == 0 || n == 1 || n == 2 || n == 4 || n == 8);
        CHECK(tensor->type < 0 || n == 0 ||
              n == (tensor->type == GPT2_TYPE_F64   ? 8
                    : tensor->type == GPT2_TYPE_F32 ? 4
                                                    : 2));
        for (size_t j = 0; j < i; j++) {
            const struct gpt2i_tensor *other = &tensors.items[j];

            CHECK(tensor->offset + tensor->n_bytes <= other->offset ||
                  other->offset + other->n_bytes <= tensor->offset);
        }
        sum += tensor->n_bytes;
    }
    CHECK(sum <= tensors.source->size_bytes - 8);
    gpt2i_tensors_close(&tensors);
}

static gpt2_model *load(void)
{
    gpt2_model_params params;
    gpt2_model *model;
    char line[160] = "";
    int32_t status;

    CHECK(gpt2_model_params_init(&params, sizeof params) == GPT2_OK);
    params.n_threads = 1;
    params.errbuf = line;
    params.errbuf_size = sizeof line;
    status = gpt2_model_load_sources(host_sources, host_n_sources, &params, &model);
    CHECK((status == GPT2_OK) == (model != NULL));
    if (status != GPT2_OK)
        check_load_failure(status, line);
    else
        CHECK(line[0] == '\0');
    return model;
}

/* The tensors of the model that was loaded have the shapes that its sizes ask for. */
static void check_shapes(const gpt2_model_info *info, bool is_out_in)
{
    static struct gpt2i_tensors tensors;
    const struct gpt2i_files files = {.list = host_sources, .n_list = host_n_sources};
    struct gpt2i_error none = {NULL, 0};
    uint64_t n_embd = (uint64_t)info->n_embd, n_inner = (uint64_t)info->n_inner;
    uint64_t n_qkv =
        (uint64_t)(info->n_embd / info->n_head) * (uint64_t)(info->n_head + 2 * info->n_kv_head);
    const struct {
        const char *name;
        uint64_t dims[2]; /* a vector's second is 0 */
    } shapes[] = {
        {"wte.weight", {(uint64_t)info->n_vocab, n_embd}},
        {"wpe.weight", {(uint64_t)info->n_positions, n_embd}},
        {"ln_1.weight", {n_embd, 0}},
        {"ln_1.bias", {n_embd, 0}},
        {"attn.c_attn.weight", {n_embd, n_qkv}},
        {"attn.c_attn.bias", {n_qkv, 0}},
        {"attn.c_proj.weight", {n_embd, n_embd}},
        {"attn.c_proj.bias", {n_embd, 0}},
        {"ln_2.weight", {n_embd, 0}},
        {"ln_2.bias", {n_embd, 0}},
        {"mlp.c_fc.weight", {n_embd, n_inner}},
        {"mlp.c_fc.bias", {n_inner, 0}},
        {"mlp.c_proj.weight", {n_inner, n_embd}},
        {"mlp.c_proj.bias", {n_embd, 0}},
        {"ln_f.weight", {n_embd, 0}},
        {"ln_f.bias", {n_embd, 0}},
    };

    CHECK(gpt2i_safetensors_open(&tensors, &files, "model.safetensors", &none) == GPT2_OK);
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        for (int32_t layer = 0; layer < info->n_layer; layer++) {
            const char *prefix = "transformer.";
            const struct gpt2i_tensor *tensor;
            bool is_turned = is_out_in && strstr(shapes[i].name, "c_") != NULL;
            char name[64];

            if (gpt2i_tensors_find(&tensors, "transformer.wpe.weight") == NULL)
                prefix = "";
            if (strncmp(shapes[i].name, "w", 1) == 0 || strncmp(shapes[i].name, "ln_f", 4) == 0)
                (void)snprintf(name, sizeof name, "%s%s", prefix, shapes[i].name);
            else
                (void)snprintf(name, sizeof name, "%sh.%d.%s", prefix, (int)layer, shapes[i].name);
            tensor = gpt2i_tensors_find(&tensors, name);
            if (tensor == NULL && i == 0 &&
                info->tied_head) /* wte may be stored as the head alone */
                tensor = gpt2i_tensors_find(&tensors, "lm_head.weight");
            CHECK(tensor != NULL || strstr(name, ".bias") != NULL);
            if (tensor == NULL)
                continue;
            CHECK(tensor->n_dims == (shapes[i].dims[1] == 0 ? 1 : 2));
            if (tensor->n_dims == 2 && is_turned)
                CHECK(tensor->dims[0] == shapes[i].dims[1] && tensor->dims[1] == shapes[i].dims[0]);
            else
                CHECK(tensor->dims[0] == shapes[i].dims[0] && tensor->dims[1] == shapes[i].dims[1]);
            CHECK(tensor->type >= 0);
        }
    }
    gpt2i_tensors_close(&tensors);
}

/* One token, whatever its numbers. */
static void run(const gpt2_model *model)
{
    gpt2_model_info info = {.struct_size = sizeof info};
    gpt2_session_params params;
    gpt2_session *session;
    const float *logits;
    int32_t id = 0, last, status;

    CHECK(gpt2_model_get_info(model, &info) == GPT2_OK);
    CHECK(info.n_vocab > 0 && info.n_positions > 0 && info.n_embd > 0 && info.n_layer > 0);
    CHECK(info.n_head > 0 && info.n_embd % info.n_head == 0 && info.n_inner > 0);
    CHECK(info.n_kv_head == info.n_head || info.n_kv_head == 1);
    CHECK(info.eot_token >= -1 && info.eot_token < info.n_vocab);
    check_shapes(&info, model->config.is_bigcode);
    CHECK(gpt2_session_params_init(&params, sizeof params) == GPT2_OK);
    params.n_ctx = 2;
    params.n_batch = 2;
    status = gpt2_session_create(model, &params, &session);
    if (status != GPT2_OK) { /* large blocks are refused */
        CHECK(status == GPT2_ERR_MEMORY && session == NULL);
        return;
    }
    last = info.n_vocab - 1;
    CHECK(gpt2_forward(session, &last, 1, 1) == GPT2_OK);
    CHECK(gpt2_session_logits(session, GPT2_LAST_ROW, &logits) == GPT2_OK);
    status = gpt2_sample(session, GPT2_LAST_ROW, NULL, &id);
    CHECK(status == GPT2_ERR_NONFINITE || (status == GPT2_OK && id >= 0 && id < info.n_vocab));
    gpt2_session_free(session);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct part made[MOST_FILES];
    size_t n_made = 0;
    bool has_config = false;
    gpt2_model *model;

    blocks_refuse_above((size_t)4 << 20);
    (void)take_part(&data, &size, 0xff);
    for (int i = 0; i < MOST_FILES && size > 0; i++) {
        struct part file = take_part(&data, &size, 0xff);
        size_t left = file.n_bytes;
        struct part name = take_part(&file.bytes, &left, '\n');

        file.n_bytes = left;
        has_config = has_config || ends_with(name, "config.json");
        if (left > 0 && file.bytes[0] == '{' && ends_with(name, ".safetensors"))
            file = made[n_made++] = whole_file(file);
        host_put_file((const char *)name.bytes, name.n_bytes, file.bytes, file.n_bytes);
    }
    if (!has_config)
        host_put_file("config.json", 11, tiny_config, strlen(tiny_config));
    check_tensors();
    model = load();
    if (model != NULL) {
        run(model);
        gpt2_model_free(model);
    }
    host_remove_files();
    CHECK(blocks_in_use() == 0);
    for (size_t i = 0; i < n_made; i++)
        free((void *)(uintptr_t)made[i].bytes);
    return 0;
}
