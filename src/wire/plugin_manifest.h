/* plugin_manifest.h - what tells a model's plugin loader about the retrieval plugin's API: routes' `write`s. */
#ifndef HD_WIRE_PLUGIN_MANIFEST_H
#define HD_WIRE_PLUGIN_MANIFEST_H

#include "wire/protocol.h"

void hd__plugin_write_manifest(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                               hd_http_response *response);
/* /query as OpenAPI 3.0: JSON, which is YAML too; the second with the server's place for /sub/query. */
void hd__plugin_write_openapi(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                              hd_http_response *response);
void hd__plugin_write_sub_openapi(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                                  hd_http_response *response);
void hd__plugin_write_logo(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                           hd_http_response *response);

#endif
