/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * p9.h - a server of the protocol 9P2000.L for one folder of the host: a request in, its reply out.
 *
 * CONFINEMENT.  A client names files by one component at a time, and what a path of them leads to is opened beneath the folder's own
 * descriptor by openat2(2), which follows no symbolic link and no ".." of anybody, host or guest.  Links are the client's to resolve.
 * Files belong to who runs hyve, and what that user may not do, no client can.  Refused to everybody, root too: devices, the bits that make
 * a program run as somebody else, and extended attributes but those of users.
 *
 * LIMITS.  Fids, open files, and memory for both are bounded: a client that wants more gets an error.  Of open files the bound is that of
 * all servers together, for the process has other uses for descriptors.  Nothing is opened but regular files and folders, so no request
 * waits for anything but the host's file system.
 *
 * Not locked: one thread at a time.
 */
#ifndef _HYVE_P9_H_
#define	_HYVE_P9_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define	P9_MSIZE_MIN	4096U
#define	P9_MSIZE_MAX	(256U << 10)	/* of a message, in bytes */

struct p9;

/* A server for the folder at path; NULL with a sentence, which begins with who. */
struct p9 *p9_open(const char *who, const char *path, bool readonly);
void	p9_close(struct p9 *s);
/* End the client's session: all fids are gone. */
void	p9_reset(struct p9 *s);
/* Fids in use. */
unsigned p9_fids(const struct p9 *s);
/* What the session agreed on; 0: nothing yet.  To go on with a session that has no fids. */
uint32_t p9_msize(const struct p9 *s);
void	p9_set_msize(struct p9 *s, uint32_t msize);
/*
 * Execute the request of len bytes and write the reply to out, of max bytes: its length, 0 if there is no room for one or the request is
 * none at all.  Of a longer reply than max an error is sent instead, if that fits.
 */
size_t	p9_request(struct p9 *s, const uint8_t *in, size_t len, uint8_t *out, size_t max);

#endif /* _HYVE_P9_H_ */
