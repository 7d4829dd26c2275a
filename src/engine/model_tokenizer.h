/* model_tokenizer.h - a model's tokenizer, from its folder or out of its GGUF file. */
#ifndef HD_ENGINE_MODEL_TOKENIZER_H
#define HD_ENGINE_MODEL_TOKENIZER_H

#include "token/tokenizer.h"

/* `path` is hd_settings' dir: a folder with tokenizer.json or vocab.txt, or a GGUF file. */
HD_MUST_USE hd_status hd__model_tokenizer_open(const char *path, hd_tokenizer **tokenizer, hd_error *err);

#endif
