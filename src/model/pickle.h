/* pickle.h - a pickle machine that knows tensors and nothing else.
 *
 * A pickle is a program for a stack machine; Python's own runs whatever function the program names. This one knows the names
 * that torch.save writes for a dictionary of tensors, and refuses every other one:
 *
 *   collections.OrderedDict()                        a dictionary
 *   torch._utils._rebuild_tensor_v2(storage, offset, size, stride, …)      a tensor: a view of a storage
 *   torch._utils._rebuild_parameter(tensor, …)       that tensor
 *   torch.FloatStorage and the like                  types of storages; a storage is the persistent id
 *                                                    ("storage", type, key, device, n)
 *
 * Values are numbers, texts, tuples, lists, dictionaries and the above. No value is larger than what of the pickle made it.
 *
 * Source: Python's pickletools (opcodes of protocols 2 to 5), torch/serialization.py and torch/_utils.py.
 */
#ifndef HD_MODEL_PICKLE_H
#define HD_MODEL_PICKLE_H

#include "base/arena.h"
#include "base/limits.h"
#include "base/span.h"
#include "model/tensor_type.h"

typedef struct hd_pickle_tensor {
    hd_span name; /* in the pickle */
    hd_span key;  /* of its storage */
    hd_tensor_type type;
    uint64_t n_stored; /* values in its storage */
    uint64_t offset;   /* values of the storage before the first */
    uint32_t n_dims;
    uint64_t dims[HD_LIMIT_TENSOR_DIMS], strides[HD_LIMIT_TENSOR_DIMS]; /* in values */
} hd_pickle_tensor;

/* Runs a pickle whose result is a dictionary, and gives its tensors in their order, on the arena; entries that are no
 * tensors are passed over, and a dictionary under "state_dict" is looked into when there are none. That tensors fit their
 * storages is for the caller to check. HD_ERR_UNSUPPORTED for a name or an opcode that tensors do not need, HD_ERR_FORMAT,
 * HD_ERR_LIMIT, HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__pickle_read(hd_span bytes, const char *file, hd_arena *arena, hd_pickle_tensor **tensors,
                                      size_t *n, hd_error *err);

#endif
