/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rsp.c - packets of gdb's remote serial protocol: see rsp.h.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "rsp.h"

#define	ESCAPE		'}'
#define	ESCAPE_XOR	0x20
#define	RUN		'*'
#define	RUN_BIAS	29		/* of the character that tells how many more there are */
#define	RUN_MIN		3U
#define	RUN_MAX		(126U - RUN_BIAS)

static int
digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return (c - '0');
	if (c >= 'a' && c <= 'f')
		return (c - 'a' + 10);
	return (c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1);
}

static enum rsp_event
outside(struct rsp_in *in, uint8_t c)
{
	switch (c) {
	case '$':
		in->state = RSP_INSIDE;
		in->len = 0;
		in->sum = in->given = 0;
		in->bad = false;
		return (RSP_MORE);
	case '-':
		return (RSP_NAK);
	case 0x03:
		return (RSP_BREAK);
	default:
		return (RSP_MORE);	/* '+', or noise */
	}
}

static void
sum_digit(struct rsp_in *in, uint8_t c)
{
	int d = digit(c);

	in->bad |= d < 0;
	in->given = (uint8_t)(in->given << 4 | (d & 0xf));
}

enum rsp_event
rsp_byte(struct rsp_in *in, uint8_t c)
{
	switch (in->state) {
	case RSP_OUTSIDE:
		return (outside(in, c));
	case RSP_INSIDE:
		if (c == '#') {
			in->state = RSP_SUM1;
		} else if (c == '$') {
			(void)outside(in, c);	/* the end of the one before was lost */
		} else {
			in->sum = (uint8_t)(in->sum + c);
			/* Beyond its end it is only counted: it is going to be refused. */
			if (in->len < RSP_MAX)
				in->buf[in->len] = (char)c;
			if (in->len <= RSP_MAX)
				in->len++;
		}
		return (RSP_MORE);
	case RSP_SUM1:
		sum_digit(in, c);
		in->state = RSP_SUM2;
		return (RSP_MORE);
	default:
		sum_digit(in, c);
		in->state = RSP_OUTSIDE;
		if (in->len > RSP_MAX)
			return (RSP_TOO_LONG);
		in->buf[in->len] = '\0';
		return (in->bad || in->given != in->sum ? RSP_BAD : RSP_PACKET);
	}
}

size_t
rsp_unescape(char *data, size_t len)
{
	size_t out = 0;

	for (size_t i = 0; i < len; i++) {
		if (data[i] == ESCAPE && i + 1 < len)
			data[out++] = (char)(data[++i] ^ ESCAPE_XOR);
		else
			data[out++] = data[i];
	}
	return (out);
}

void
rsp_add(struct rsp_text *t, const char *fmt, ...)
{
	size_t left = sizeof(t->text) - t->len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->text + t->len, left, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= left)
		t->full = true;
	else
		t->len += (size_t)n;
}

void
rsp_add_hex(struct rsp_text *t, const void *data, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++) {
		if (sizeof(t->text) - t->len < 2) {
			t->full = true;
			return;
		}
		t->text[t->len++] = digits[p[i] >> 4];
		t->text[t->len++] = digits[p[i] & 0xf];
	}
}

void
rsp_add_data(struct rsp_text *t, const void *data, size_t len)
{
	const char *p = data;

	for (size_t i = 0; i < len; i++) {
		bool escape = strchr("#$}*", p[i]) != NULL && p[i] != '\0';

		if (sizeof(t->text) - t->len < (escape ? 2U : 1U)) {
			t->full = true;
			return;
		}
		if (escape)
			t->text[t->len++] = ESCAPE;
		t->text[t->len++] = (char)(escape ? p[i] ^ ESCAPE_XOR : p[i]);
	}
}

/* How many more of the character at i are told by one: '#' and '$' are no such numbers. */
static size_t
run_at(const struct rsp_text *t, size_t i)
{
	size_t n = 0;

	while (i + n + 1 < t->len && n < RUN_MAX && t->text[i + n + 1] == t->text[i])
		n++;
	while (n + RUN_BIAS == '#' || n + RUN_BIAS == '$')
		n--;
	return (n >= RUN_MIN ? n : 0);
}

size_t
rsp_frame(const struct rsp_text *t, char frame[RSP_FRAME_MAX])
{
	static const char digits[] = "0123456789abcdef";
	uint8_t sum = 0;
	size_t len = 0, run;

	frame[len++] = '$';
	for (size_t i = 0; i < t->len; i++) {
		frame[len++] = t->text[i];
		run = run_at(t, i);
		if (run != 0) {
			frame[len++] = RUN;
			frame[len++] = (char)(run + RUN_BIAS);
			i += run;
		}
	}
	for (size_t i = 1; i < len; i++)
		sum = (uint8_t)(sum + (uint8_t)frame[i]);
	frame[len++] = '#';
	frame[len++] = digits[sum >> 4];
	frame[len++] = digits[sum & 0xf];
	return (len);
}

bool
rsp_number(const char **p, uint64_t *val)
{
	unsigned n = 0;
	int d;

	*val = 0;
	while ((d = digit((uint8_t)**p)) >= 0) {
		/* Zeros in front are no digits of it. */
		if (*val >> 60 != 0)
			return (false);
		*val = *val << 4 | (unsigned)d;
		n++;
		++*p;
	}
	return (n != 0);
}

bool
rsp_bytes(const char **p, void *data, size_t len)
{
	uint8_t *out = data;

	for (size_t i = 0; i < len; i++) {
		int hi = digit((uint8_t)(*p)[0]), lo = hi < 0 ? -1 : digit((uint8_t)(*p)[1]);

		if (lo < 0)
			return (false);
		out[i] = (uint8_t)(hi << 4 | lo);
		*p += 2;
	}
	return (true);
}
