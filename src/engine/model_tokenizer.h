/* model_tokenizer.h - a model's tokenizer, from its folder or out of its GGUF file. */
#ifndef HD_ENGINE_MODEL_TOKENIZER_H
#define HD_ENGINE_MODEL_TOKENIZER_H

#include "token/tokenizer.h"

/* `path` is hd_settings' dir: a folder, or a GGUF file. tables_path (absolute; NULL: none) is the file of the model cache
 * that keeps its large parts: mapped when it was made from the files as they are now, else written. That it cannot be
 * is logged and no error. */
HD_MUST_USE hd_status hd__model_tokenizer_open(const char *path, const char *tables_path, hd_tokenizer **tokenizer,
                                               hd_error *err);

#endif
