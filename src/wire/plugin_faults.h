/* plugin_faults.h - how chatgpt-retrieval-plugin says what went wrong: FastAPI's bodies, with pydantic 1's words. */
#ifndef HD_WIRE_PLUGIN_FAULTS_H
#define HD_WIRE_PLUGIN_FAULTS_H

#include "wire/protocol.h"

extern const hd_dialect hd__dialect_plugin;
extern const hd_dialect hd__dialect_plugin_file; /* of /upsert-file, which says what happened where the others do not */

#endif
