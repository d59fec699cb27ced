/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rsp.h - packets of gdb's remote serial protocol (GDB manual, "Remote Protocol: Overview"): bytes to packets, and back.
 */
#ifndef _HYVE_GDB_RSP_H_
#define	_HYVE_GDB_RSP_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define	RSP_MAX		0x4000U		/* characters of a packet, either way */

/* What a byte made complete. */
enum rsp_event {
	RSP_MORE,		/* nothing */
	RSP_PACKET,		/* buf has a packet of len characters, and a NUL behind it */
	RSP_BAD,		/* the same, with a wrong checksum */
	RSP_TOO_LONG,		/* a packet whose end is lost */
	RSP_BREAK,		/* Ctrl-C */
	RSP_NAK,		/* the last packet is wanted again */
};

struct rsp_in {
	enum { RSP_OUTSIDE, RSP_INSIDE, RSP_SUM1, RSP_SUM2 } state;
	uint8_t		 sum, given;
	bool		 bad;		/* the checksum has a character that is no digit */
	size_t		 len;
	char		 buf[RSP_MAX + 1];
};

/* One byte from the peer, of any value. */
enum rsp_event rsp_byte(struct rsp_in *in, uint8_t c);

/* Undo the escapes of binary data in place; the new length. */
size_t	rsp_unescape(char *data, size_t len);

/* What a packet is answered with, or is told; what does not fit is left out and noted. */
struct rsp_text {
	size_t		 len;
	bool		 full;
	char		 text[RSP_MAX];
};

void	rsp_add(struct rsp_text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void	rsp_add_hex(struct rsp_text *t, const void *data, size_t len);
/* Binary data, escaped. */
void	rsp_add_data(struct rsp_text *t, const void *data, size_t len);

#define	RSP_FRAME_MAX	(RSP_MAX + 4)
/* Make it a packet, with runs shortened; the length, at most RSP_FRAME_MAX. */
size_t	rsp_frame(const struct rsp_text *t, char frame[RSP_FRAME_MAX]);

/* Hexadecimal digits at *p to a number, *p behind them; false: there is none, or more than 16. */
bool	rsp_number(const char **p, uint64_t *val);
/* 2 * len digits to bytes; false: there are not as many. */
bool	rsp_bytes(const char **p, void *data, size_t len);

#endif /* _HYVE_GDB_RSP_H_ */
