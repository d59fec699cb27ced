/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * image.c - Linux' arm64 Image (its Documentation/arch/arm64/booting.rst, "The kernel"), plain or compressed by gzip.
 *
 * An Image with an EFI stub begins as a PE file does and has the same header.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "../../error.h"
#include "arm64.h"

/* The header (The kernel, 3): little-endian whatever the kernel is. */
#define	H_TEXT_OFFSET	8
#define	H_IMAGE_SIZE	16
#define	H_FLAGS		24
#define	H_MAGIC		56
#define	H_LEN		64
#define	MAGIC		"ARM\x64"

/* Where the PE header is, and what of it and of its section table is looked at. */
#define	H_PE		60
#define	PE_NSECTIONS	6
#define	PE_OPTIONAL_LEN	20
#define	PE_HEADERS	24
#define	PE_SECTION	40
#define	PE_RAW_LEN	16
#define	PE_RAW_AT	20

#define	FLAG_BIG_ENDIAN	0x1U

/* What Linux keeps of a command line on arm64 (COMMAND_LINE_SIZE of its asm/setup.h); it says nothing of the rest. */
#define	CMDLINE_MAX	2047U

/* Kernels before 3.17 do not say how large they are in memory, and are to be loaded here. */
#define	OLD_TEXT_OFFSET	0x80000U

#define	GZIP_WINDOW	(16 + MAX_WBITS)	/* zlib.h, inflateInit2(): gzip's header and no other */

static uint64_t
get(const uint8_t *p, size_t off)
{
	uint64_t v;

	memcpy(&v, p + off, sizeof(v));
	return (v);
}

static bool
is_gzip(const struct boot_file *f)
{
	return (f->len > 18 && f->data[0] == 0x1f && f->data[1] == 0x8b);
}

/*
 * Expand a file into buf, as much as fits; the number of bytes.  *end: that was all.  Damage ends it too, and then *end is
 * false.
 */
static size_t
expand(const struct boot_file *f, uint8_t *buf, size_t len, bool *end)
{
	z_stream z = { .next_in = (Bytef *)(uintptr_t)f->data };
	size_t in = f->len, out = len;
	int r = Z_OK;

	*end = false;
	if (inflateInit2(&z, GZIP_WINDOW) != Z_OK)
		return (0);
	z.next_out = buf;
	/* zlib counts in 32 bits. */
	while (r == Z_OK) {
		if (z.avail_in == 0) {
			z.avail_in = (uInt)(in < 1U << 30 ? in : 1U << 30);
			in -= z.avail_in;
		}
		if (z.avail_out == 0) {
			z.avail_out = (uInt)(out < 1U << 30 ? out : 1U << 30);
			out -= z.avail_out;
		}
		r = inflate(&z, Z_NO_FLUSH);
	}
	*end = r == Z_STREAM_END;
	len -= out + z.avail_out;
	(void)inflateEnd(&z);
	return (len);
}

static bool
is_image(const struct boot_file *f)
{
	uint8_t head[H_LEN];
	bool end;

	if (is_gzip(f))
		return (expand(f, head, sizeof(head), &end) == sizeof(head) && memcmp(head + H_MAGIC, MAGIC, 4) == 0);
	return (f->len >= H_LEN && memcmp(f->data + H_MAGIC, MAGIC, 4) == 0);
}

static uint32_t
get32(const uint8_t *p, size_t off)
{
	uint32_t v;

	memcpy(&v, p + off, sizeof(v));
	return (v);
}

/*
 * The header does not say how long the file is, but a PE file's sections do (Microsoft's PE format, "Section table"): whether
 * one with an EFI stub is whole.
 */
static bool
is_cut(const uint8_t *image, size_t len)
{
	size_t pe = len >= H_LEN && memcmp(image, "MZ", 2) == 0 ? get32(image, H_PE) : 0, table;
	unsigned n;

	if (pe == 0)
		return (false);
	if (pe > len || len - pe < PE_HEADERS)
		return (true);
	if (memcmp(image + pe, "PE\0\0", 4) != 0)
		return (false);
	n = get32(image, pe + PE_NSECTIONS) & 0xffff;
	table = pe + PE_HEADERS + (get32(image, pe + PE_OPTIONAL_LEN) & 0xffff);
	if (table > len || (len - table) / PE_SECTION < n)
		return (true);
	for (unsigned i = 0; i < n; i++) {
		const uint8_t *section = image + table + i * PE_SECTION;

		if ((uint64_t)get32(section, PE_RAW_LEN) + get32(section, PE_RAW_AT) > len)
			return (true);
	}
	return (false);
}

/* Put len bytes of Image at to, which has room for them; what the file is compressed by is undone. */
static int
put_image(const struct boot_file *f, uint8_t *to, size_t room, size_t *len)
{
	uint8_t byte;
	bool end;

	if (!is_gzip(f)) {
		if (f->len > room)
			return (vmm_fail(EINVAL, "'%s' has %zu bytes, more than the %zu that its header speaks of", f->path, f->len, room));
		memcpy(to, f->data, f->len);
		*len = f->len;
		return (0);
	}
	*len = expand(f, to, room, &end);
	if (end)
		return (0);
	if (*len == room && expand(f, &byte, 1, &end) == 1)
		return (vmm_fail(EINVAL, "'%s' expands to more than the %zu bytes that its header speaks of", f->path, room));
	return (vmm_fail(EINVAL, "'%s' is damaged or cut off: it cannot be expanded", f->path));
}

static int
load(struct vmctx *vm, struct vcpu *vcpu, const struct boot_spec *spec)
{
	const struct boot_file *f = &spec->kernel;
	uint64_t base = arm64_ram_base(spec), offset, size, at;
	uint8_t head[H_LEN], *to;
	size_t len = 0;
	bool end;

	if (base == 0)
		return (-1);
	if (strlen(spec->cmdline) > CMDLINE_MAX)
		return (vmm_fail(E2BIG, "the command line has %zu bytes; Linux on arm64 takes %u", strlen(spec->cmdline), CMDLINE_MAX));
	if (is_gzip(f)) {
		if (expand(f, head, sizeof(head), &end) != sizeof(head))
			return (vmm_fail(EINVAL, "'%s' is damaged or cut off: it cannot be expanded", f->path));
	} else if (f->len >= sizeof(head)) {
		memcpy(head, f->data, sizeof(head));
	} else {
		return (vmm_fail(EINVAL, "'%s' has %zu bytes, too few for an arm64 Image", f->path, f->len));
	}
	if (memcmp(head + H_MAGIC, MAGIC, 4) != 0)
		return (vmm_fail(ENOEXEC, "'%s' is no arm64 Linux Image", f->path));
	if ((get(head, H_FLAGS) & FLAG_BIG_ENDIAN) != 0)
		return (vmm_fail(EINVAL, "'%s' is a big-endian kernel; processors here are little-endian", f->path));
	offset = get(head, H_TEXT_OFFSET);
	size = get(head, H_IMAGE_SIZE);
	if (size == 0) {
		if (is_gzip(f))
			return (vmm_fail(EINVAL, "'%s' is compressed and does not say how large it is (Linux before 3.17)", f->path));
		offset = OLD_TEXT_OFFSET;
		size = f->len;
	}
	/* Any base of 2 MiB and offset will do; near the start of RAM none of it is lost. */
	at = (base + ARM64_RAM_ALIGN - 1) & ~(ARM64_RAM_ALIGN - 1);
	if (at + offset < at || at + offset + size < size)
		return (vmm_fail(EINVAL, "'%s' wants to be loaded at %#" PRIx64 " from the start of RAM and to have %#" PRIx64 " bytes", f->path,
		    offset, size));
	at += offset;
	to = boot_ram(vm, spec, at, size, "the kernel");
	if (to == NULL || put_image(f, to, size, &len) != 0)
		return (-1);
	if (is_cut(to, len))
		return (vmm_fail(EINVAL, "'%s' is cut off: it has %zu bytes, and its sections end behind them", f->path, len));
	return (arm64_enter(vm, vcpu, spec, at, at + size, 0, 0));
}

const struct boot_protocol boot_linux_arm64 = {
	.name = "linux",
	.doc = "Linux Image",
	.arch = VM_ARCH_ARM64,
	.probe = is_image,
	.load = load,
};
