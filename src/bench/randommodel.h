/*
 * randommodel.h: models of GPT-2's shapes with random weights, so that speed can be measured without
 * a download.
 */
#ifndef RANDOMMODEL_H
#define RANDOMMODEL_H

#include <stdint.h>

#include "../command.h"
#include "../options.h"

/* "gpt2", ... */
const char *random_model_name(enum shape shape);

/* Writes config.json and model.safetensors into a directory, the same bytes every time. */
enum outcome random_model_write(enum shape shape, const char *directory);

/* Removes what it wrote, even if it was ended in the middle; then the directory. */
enum outcome random_model_remove(const char *directory);

#endif
