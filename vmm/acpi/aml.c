/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * aml.c - writes ACPI machine language.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "aml.h"

#define	PKGLEN		3		/* bytes of every package length (20.2.4): up to 1 MiB */

void
aml_begin(struct aml *a)
{
	memset(a, 0, sizeof(*a));
}

void
aml_bytes(struct aml *a, const void *p, size_t n)
{
	if (a->failed)
		return;
	if (a->cap - a->len < n) {
		size_t cap = (a->cap + n) * 2;
		uint8_t *buf = realloc(a->buf, cap);

		if (buf == NULL) {
			a->failed = true;
			return;
		}
		a->buf = buf;
		a->cap = cap;
	}
	memcpy(a->buf + a->len, p, n);
	a->len += n;
}

static void
byte(struct aml *a, unsigned v)
{
	uint8_t b = (uint8_t)v;

	aml_bytes(a, &b, 1);
}

static void
little(struct aml *a, uint64_t v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		byte(a, (unsigned)(v >> (8 * i)) & 0xff);
}

uint8_t *
aml_end(struct aml *a, size_t *len)
{
	if (a->failed || a->depth != 0) {
		free(a->buf);
		errno = ENOMEM;
		return (NULL);
	}
	*len = a->len;
	return (a->buf);
}

/* A NameString (20.2.2): root and parent prefixes, then one segment or several. */
static void
name_string(struct aml *a, const char *name)
{
	size_t n;

	while (*name == '\\' || *name == '^')
		byte(a, (unsigned char)*name++);
	n = (strlen(name) + 1) / 5;		/* segments of four, dots between */
	if (n == 0)
		byte(a, 0);
	else if (n == 2)
		byte(a, 0x2e);
	else if (n > 2) {
		byte(a, 0x2f);
		byte(a, (unsigned)n);
	}
	for (size_t i = 0; i < n; i++)
		aml_bytes(a, name + 5 * i, 4);
}

static void
open_package(struct aml *a)
{
	if (a->depth == AML_DEPTH) {
		a->failed = true;
		return;
	}
	a->open[a->depth].at = a->len;
	a->open[a->depth].count = -1;
	a->open[a->depth].buffer = false;
	a->depth++;
	little(a, 0, PKGLEN);
}

void
aml_scope(struct aml *a, const char *name)
{
	byte(a, 0x10);
	open_package(a);
	name_string(a, name);
}

void
aml_device(struct aml *a, const char *name)
{
	byte(a, 0x5b);
	byte(a, 0x82);
	open_package(a);
	name_string(a, name);
}

void
aml_method(struct aml *a, const char *name, unsigned nargs)
{
	byte(a, 0x14);
	open_package(a);
	name_string(a, name);
	byte(a, nargs);
}

void
aml_package(struct aml *a)
{
	byte(a, 0x12);
	open_package(a);
	if (a->depth != 0)
		a->open[a->depth - 1].count = (int)a->len;
	byte(a, 0);
}

void
aml_element(struct aml *a)
{
	if (!a->failed && a->depth != 0 && a->open[a->depth - 1].count >= 0)
		a->buf[a->open[a->depth - 1].count]++;
}

/* Buffer(size) { descriptors, end tag } */
void
aml_template(struct aml *a)
{
	byte(a, 0x11);
	open_package(a);
	if (a->depth != 0)
		a->open[a->depth - 1].buffer = true;
	byte(a, 0x0b);
	little(a, 0, 2);
}

void
aml_close(struct aml *a)
{
	size_t at, len;

	if (a->failed || a->depth == 0)
		return;
	a->depth--;
	at = a->open[a->depth].at;
	if (a->open[a->depth].buffer) {
		byte(a, 0x79);			/* end tag; checksum 0 counts as right (6.4.2.9) */
		byte(a, 0);
		if (a->failed)
			return;
		len = a->len - at - PKGLEN - 3;
		a->buf[at + PKGLEN + 1] = (uint8_t)len;
		a->buf[at + PKGLEN + 2] = (uint8_t)(len >> 8);
	}
	len = a->len - at;
	a->buf[at] = (uint8_t)(0x80 | (len & 0xf));
	a->buf[at + 1] = (uint8_t)(len >> 4);
	a->buf[at + 2] = (uint8_t)(len >> 12);
}

void
aml_ref(struct aml *a, const char *name)
{
	name_string(a, name);
}

void
aml_name(struct aml *a, const char *name)
{
	byte(a, 0x08);
	name_string(a, name);
}

void
aml_int(struct aml *a, uint64_t v)
{
	if (v <= 1) {
		byte(a, (unsigned)v);
	} else if (v <= UINT8_MAX) {
		byte(a, 0x0a);
		little(a, v, 1);
	} else if (v <= UINT16_MAX) {
		byte(a, 0x0b);
		little(a, v, 2);
	} else if (v <= UINT32_MAX) {
		byte(a, 0x0c);
		little(a, v, 4);
	} else {
		byte(a, 0x0e);
		little(a, v, 8);
	}
}

void
aml_str(struct aml *a, const char *s)
{
	byte(a, 0x0d);
	aml_bytes(a, s, strlen(s) + 1);
}

static unsigned
hex(char c)
{
	return (c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'A' + 10));
}

/* Three letters of five bits, four digits; big-endian (19.3.4). */
void
aml_eisaid(struct aml *a, const char *id)
{
	unsigned v = (unsigned)(id[0] - '@') << 10 | (unsigned)(id[1] - '@') << 5 | (unsigned)(id[2] - '@');

	byte(a, 0x0c);
	byte(a, v >> 8);
	byte(a, v & 0xff);
	byte(a, hex(id[3]) << 4 | hex(id[4]));
	byte(a, hex(id[5]) << 4 | hex(id[6]));
}

/* Resource descriptors (6.4) */

#define	PRODUCER	0x0c		/* minimum and maximum are fixed, positive decode; for the devices below */
#define	CONSUMER	0x0d		/* and for the device itself */

struct space {
	uint8_t		 type, general, flags;
	uint64_t	 base, last, translation;
};

#define	SPACE_MEM	0
#define	SPACE_IO	1
#define	SPACE_BUS	2

/* Word, double word or quad word address space (6.4.3.5): tag, type, flags, and five numbers. */
static void
address_space(struct aml *a, uint8_t tag, unsigned width, const struct space *s)
{
	byte(a, tag);
	little(a, 3 + 5 * width, 2);
	byte(a, s->type);
	byte(a, s->general);
	byte(a, s->flags);
	little(a, 0, width);		/* granularity */
	little(a, s->base, width);
	little(a, s->last, width);
	little(a, s->translation, width);
	little(a, s->last - s->base + 1, width);
}

void
aml_res_bus(struct aml *a, uint16_t first, uint16_t last)
{
	address_space(a, 0x88, 2, &(struct space){ SPACE_BUS, PRODUCER, 0, first, last, 0 });
}

void
aml_res_io_window(struct aml *a, uint16_t base, uint16_t last)
{
	address_space(a, 0x88, 2, &(struct space){ SPACE_IO, PRODUCER, 3, base, last, 0 });	/* the entire range */
}

/* Flags: the entire range, of another type on the bridge's upper side (6.4.3.5.5, _TTP). */
void
aml_res_io_in_memory(struct aml *a, uint64_t addr, uint64_t len)
{
	address_space(a, 0x8a, 8, &(struct space){ SPACE_IO, PRODUCER, 0x13, 0, len - 1, addr });
}

static void
memory(struct aml *a, uint8_t general, uint64_t base, uint64_t last)
{
	bool wide = last > UINT32_MAX;

	address_space(a, wide ? 0x8a : 0x87, wide ? 8 : 4, &(struct space){ SPACE_MEM, general, 1, base, last, 0 });
}

void
aml_res_mem_window(struct aml *a, uint64_t base, uint64_t last)
{
	memory(a, PRODUCER, base, last);
}

void
aml_res_mem(struct aml *a, uint64_t base, uint64_t len)
{
	memory(a, CONSUMER, base, base + len - 1);
}

/* Extended interrupt descriptor (6.4.3.6). */
void
aml_res_gsi(struct aml *a, unsigned gsi)
{
	byte(a, 0x89);
	little(a, 6, 2);
	byte(a, 1);			/* of the device itself */
	byte(a, 1);
	little(a, gsi, 4);
}

/* GPIO connection (6.4.3.8.1): an interrupt at an edge, active high, no pull, of one pin. */
void
aml_res_gpio_event(struct aml *a, const char *controller, unsigned pin)
{
	const unsigned pins = 23, name = pins + 2, end = name + (unsigned)strlen(controller) + 1;

	byte(a, 0x8c);
	little(a, end - 3, 2);
	byte(a, 1);			/* revision */
	byte(a, 0);			/* interrupt */
	little(a, 1, 2);		/* of the device itself */
	little(a, 1, 2);		/* edge, active high, exclusive */
	byte(a, 3);
	little(a, 0, 2);		/* drive */
	little(a, 0, 2);		/* debounce */
	little(a, pins, 2);
	byte(a, 0);
	little(a, name, 2);
	little(a, end, 2);		/* vendor data: none */
	little(a, 0, 2);
	little(a, pin, 2);
	aml_bytes(a, controller, strlen(controller) + 1);
}

void
aml_res_io(struct aml *a, uint16_t port, uint8_t len)
{
	byte(a, 0x47);			/* 6.4.2.5: 16-bit decode */
	byte(a, 1);
	little(a, port, 2);
	little(a, port, 2);
	byte(a, 1);
	byte(a, len);
}

void
aml_res_irq(struct aml *a, unsigned line)
{
	byte(a, 0x22);			/* 6.4.2.1 */
	little(a, 1U << line, 2);
}

void
aml_res_irqs(struct aml *a, unsigned lines)
{
	byte(a, 0x23);			/* 6.4.2.1 */
	little(a, lines, 2);
	byte(a, 0x18);
}

void
aml_res_mem32(struct aml *a, uint32_t base, uint32_t len)
{
	byte(a, 0x86);			/* 6.4.3.4 */
	little(a, 9, 2);
	byte(a, 1);
	little(a, base, 4);
	little(a, len, 4);
}
