/* hub_export.h - a GGUF file as a model folder of the Hub's layout: model.safetensors, tokenizer.json and the settings
 * files.
 *
 * Values that are quantised become f32, all others keep their type. RoBERTa's table of positions gets the rows back that the
 * converter left away, as zeroes: no text reaches them.
 */
#ifndef HD_MODEL_HUB_EXPORT_H
#define HD_MODEL_HUB_EXPORT_H

#include "base/status.h"

/* Writes the files into `dir`, which is made. Each file is written atomically, the weights last. */
HD_MUST_USE hd_status hd__hub_export(const char *gguf_path, const char *dir, hd_error *err);

#endif
