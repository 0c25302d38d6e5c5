/*
 * demo_model.h: the model that the program has inside, for those who give none.
 */
#ifndef DEMO_MODEL_H
#define DEMO_MODEL_H

#include <gpt2.h>

#define DEMO_MODEL_NAME  "the demo model"
#define DEMO_MODEL_FILES 4

/* Its files, for gpt2_model_load_sources(). */
void demo_model_sources(gpt2_source sources[DEMO_MODEL_FILES]);

#endif
