/* host_operations.h - what heddle/plugin.h says of each operation, in plain loops on the host's memory. */
#ifndef HOST_OPERATIONS_H
#define HOST_OPERATIONS_H

#include "heddle/plugin.h"

/* A value of an array of F32, BF16 or F16. */
float host_load(hd_plugin_type type, const void *values, size_t i);
void host_store(hd_plugin_type type, void *values, size_t i, float value);

void host_embed(const hd_plugin_embed *embed);
void host_change_rows(const hd_plugin_change_rows *change);
void host_norm(const hd_plugin_norm *norm);
void host_convert(const hd_plugin_convert *convert);
void host_linear(const hd_plugin_linear *linear);
void host_rotate(const hd_plugin_rotate *rotate);
void host_attention(const hd_plugin_attention *attention);
void host_pick(const hd_plugin_pick *pick);
void host_copy(const hd_plugin_copy *copy);
void host_pool(const hd_plugin_pool *pool);
void host_unit(const hd_plugin_unit *unit);
void host_collect(const hd_plugin_vocab_pool *pool);
void host_weigh(const hd_plugin_vocab_pool *pool);

#endif
