/* tensors.h - the named tensors of a model, whatever files hold them.
 *
 * Files stay mapped while the set is open; nothing is copied or converted until somebody reads. What a file is its first
 * bytes say: safetensors (safetensors.h), what torch.save writes (torch_zip.h), or GGUF (gguf.h, gguf_files.h), whose
 * tensors appear under the names that the Hub's files of the same model have (gguf_names.h).
 */
#ifndef HD_MODEL_TENSORS_H
#define HD_MODEL_TENSORS_H

#include "base/limits.h"
#include "base/span.h"
#include "base/status.h"
#include "model/tensor_type.h"

typedef struct hd_tensor {
    const char *name;
    hd_tensor_type type;
    uint32_t n_dims;
    uint64_t dims[HD_LIMIT_TENSOR_DIMS]; /* row-major, last dimension contiguous */
    uint64_t n_elements;
    hd_span bytes;    /* hd__tensor_type_size of them; alignment is the file's */
    const char *file; /* for error texts */

    /* [n_dims] values from one to the next in each dimension, for a view of a torch storage that is not row-major; NULL for
     * all others. bytes then reach from the first value to the one furthest behind. */
    const uint64_t *strides;
} hd_tensor;

typedef struct hd_tensors hd_tensors;

/* Opens the weights of a model: a file, or of a folder the first that is there of model.safetensors, the shards of
 * model.safetensors.index.json, pytorch_model.bin, the shards of pytorch_model.bin.index.json. Checks every header: lengths,
 * overlaps, types, names. Freed by hd__tensors_close (NULL allowed). */
HD_MUST_USE hd_status hd__tensors_open(const char *dir, hd_tensors **tensors, hd_error *err);

/* One file of any of the formats. */
HD_MUST_USE hd_status hd__tensors_open_file(const char *path, hd_tensors **tensors, hd_error *err);
void hd__tensors_close(hd_tensors *tensors);

const hd_tensor *hd__tensors_find(const hd_tensors *tensors, const char *name); /* NULL when there is none */
size_t hd__tensors_count(const hd_tensors *tensors);
const hd_tensor *hd__tensors_at(const hd_tensors *tensors, size_t i);

/* A text that changes when any of the files does: names, sizes, modification times, inode. For cache keys. */
const char *hd__tensors_identity(const hd_tensors *tensors);

/* Converts elements [first, first + n) to f32. HD_ERR_UNSUPPORTED for integer and f8 types,
 * HD_ERR_NUMERIC naming tensor and index when a value is NaN or infinite. */
HD_MUST_USE hd_status hd__tensor_read_f32(const hd_tensor *tensor, uint64_t first, uint64_t n, float *out /* [n] */,
                                          hd_error *err);

/* Tells the kernel that the pages of a tensor are not needed any more (after packing). */
void hd__tensor_forget(const hd_tensor *tensor);

#endif
