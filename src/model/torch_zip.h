/* torch_zip.h - what torch.save writes since 1.6 (pytorch_model.bin, .pt): a zip archive with a pickle and storages.
 *
 *   NAME/data.pkl       a dictionary of tensors (pickle.h), each a view of a storage
 *   NAME/data/KEY       one storage: its values, stored as they are
 *   NAME/byteorder      "little" (absent in older files)
 *
 * Source: torch/serialization.py and caffe2/serialize/inline_container.cc.
 */
#ifndef HD_MODEL_TORCH_ZIP_H
#define HD_MODEL_TORCH_ZIP_H

#include "base/arena.h"
#include "model/tensors.h"

bool hd__torch_zip_is(hd_span bytes);

/* Parses a whole file in memory: tensors and their names live in the arena, their bytes point into `bytes` and may be shared
 * by several. HD_ERR_FORMAT (damaged; a tensor that does not fit its storage), HD_ERR_UNSUPPORTED (TorchScript; what
 * pickle.h and zip.h refuse), HD_ERR_LIMIT, HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__torch_zip_parse(hd_span bytes, const char *file, hd_arena *arena, hd_tensor **tensors, size_t *n,
                                          hd_error *err);

#endif
