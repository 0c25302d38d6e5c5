/*
 * config_text.h: a config as Hugging Face's config.json has it.
 */
#ifndef GPT2I_CONFIG_TEXT_H
#define GPT2I_CONFIG_TEXT_H

#include "config.h"

#define GPT2I_CONFIG_TEXT_BYTES 704

/* One line; it has no character that JSON would escape but for quotes. */
GPT2I_HIDDEN void gpt2i_config_text(char text[GPT2I_CONFIG_TEXT_BYTES],
                                    const struct gpt2i_config *config);

#endif
