/* tensors.h - the named tensors of a model folder, whatever files hold them.
 *
 * Files stay mapped while the set is open; nothing is copied or converted until somebody reads. Today's
 * format is safetensors, in one file or in shards listed by model.safetensors.index.json.
 * Source: https://huggingface.co/docs/safetensors (format section).
 */
#ifndef HD_MODEL_TENSORS_H
#define HD_MODEL_TENSORS_H

#include "base/limits.h"
#include "base/span.h"
#include "base/status.h"

typedef enum hd_tensor_type {
    HD_TENSOR_F64,
    HD_TENSOR_F32,
    HD_TENSOR_F16,
    HD_TENSOR_BF16,
    HD_TENSOR_I64,
    HD_TENSOR_I32,
    HD_TENSOR_I16,
    HD_TENSOR_I8,
    HD_TENSOR_U64,
    HD_TENSOR_U32,
    HD_TENSOR_U16,
    HD_TENSOR_U8,
    HD_TENSOR_BOOL,
    HD_TENSOR_F8_E4M3,
    HD_TENSOR_F8_E5M2,
} hd_tensor_type;

typedef struct hd_tensor {
    const char *name;
    hd_tensor_type type;
    uint32_t n_dims;
    uint64_t dims[HD_LIMIT_TENSOR_DIMS]; /* row-major, last dimension contiguous */
    uint64_t n_elements;
    hd_span bytes;    /* n_elements * size of type; alignment is the file's */
    const char *file; /* for error texts */
} hd_tensor;

typedef struct hd_tensors hd_tensors;

/* Opens `dir`/model.safetensors or the shards of `dir`/model.safetensors.index.json, and checks every
 * header: lengths, overlaps, gaps, types, names. Freed by hd__tensors_close (NULL allowed). */
HD_MUST_USE hd_status hd__tensors_open(const char *dir, hd_tensors **tensors, hd_error *err);

/* One safetensors file. */
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
