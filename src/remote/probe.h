/* probe.h - asks a server on this machine one question: is it well? */
#ifndef HD_REMOTE_PROBE_H
#define HD_REMOTE_PROBE_H

#include "base/status.h"

/* GETs a URL, by way of a Unix socket when uds_path is not NULL, never by a proxy. Certificates are not checked: this is
 * no connection to trust, only a sign of life. HD_ERR_PEER when there is no answer in time, or another than 2xx. */
HD_MUST_USE hd_status hd__probe(const char *url, const char *uds_path, uint32_t timeout_ms, hd_error *err);

#endif
