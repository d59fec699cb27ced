/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * linux.c - the 64-bit entry of a Linux bzImage (Linux' Documentation/arch/x86/boot.rst and zero-page.rst).
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "../../error.h"
#include "amd64.h"

/* Offsets in the file's first sectors, and in boot_params: the setup header is at 0x1f1 of both. */
#define	P_ACPI_RSDP	0x070
#define	P_E820_ENTRIES	0x1e8
#define	H_START		0x1f1
#define	H_SETUP_SECTS	0x1f1
#define	H_SYSSIZE	0x1f4
#define	H_BOOT_FLAG	0x1fe
#define	H_JUMP		0x200
#define	H_MAGIC		0x202
#define	H_VERSION	0x206
#define	H_LOADER_TYPE	0x210
#define	H_LOADFLAGS	0x211
#define	H_RAMDISK_IMAGE	0x218
#define	H_RAMDISK_SIZE	0x21c
#define	H_HEAP_END_PTR	0x224
#define	H_CMD_LINE_PTR	0x228
#define	H_INITRD_MAX	0x22c
#define	H_XLOADFLAGS	0x236
#define	H_CMDLINE_SIZE	0x238
#define	H_PREF_ADDRESS	0x258
#define	H_INIT_SIZE	0x260
#define	H_END_MAX	0x290		/* boot_params.e820_table follows the header at 0x2d0 at the latest */
#define	P_E820_TABLE	0x2d0
#define	PARAMS_LEN	4096

#define	VERSION_MIN	0x020c		/* xloadflags: kernel 3.8 */
#define	XLF_KERNEL_64	0x01
#define	LOADED_HIGH	0x01
#define	CAN_USE_HEAP	0x80
#define	LOADER_UNKNOWN	0xff
#define	ENTRY64		0x200		/* of the 64-bit entry, from the start of the kernel proper */

static uint64_t
get(const uint8_t *p, size_t off, unsigned size)
{
	uint64_t v = 0;

	memcpy(&v, p + off, size);
	return (v);
}

static void
put(uint8_t *p, size_t off, unsigned size, uint64_t v)
{
	memcpy(p + off, &v, size);
}

static bool
is_linux(const struct boot_file *f)
{
	return (f->len >= 0x260 + 8 && get(f->data, H_BOOT_FLAG, 2) == 0xaa55 && memcmp(f->data + H_MAGIC, "HdrS", 4) == 0);
}

struct kernel {
	const uint8_t	*data;		/* the kernel proper */
	size_t		 len;
	size_t		 header_end;	/* of the setup header */
	uint64_t	 at;		/* where it goes */
	uint64_t	 init_size;	/* what it needs there until it knows the memory map */
};

static int
parse(const struct boot_spec *spec, struct kernel *k)
{
	const struct boot_file *f = &spec->kernel;
	uint64_t sects = get(f->data, H_SETUP_SECTS, 1), version = get(f->data, H_VERSION, 2), setup, len;

	if (version < VERSION_MIN || (get(f->data, H_XLOADFLAGS, 2) & XLF_KERNEL_64) == 0 ||
	    (get(f->data, H_LOADFLAGS, 1) & LOADED_HIGH) == 0)
		return (vmm_fail(EINVAL, "'%s' is a Linux kernel without a 64-bit entry (boot protocol %u.%02u); a 64-bit kernel of "
		    "version 3.8 or later is needed", f->path, (unsigned)(version >> 8), (unsigned)(version & 0xff)));
	setup = ((sects == 0 ? 4 : sects) + 1) * 512;
	if (setup + ENTRY64 >= f->len)
		return (vmm_fail(EINVAL, "'%s' is cut off: it has %zu bytes, and its kernel would begin at %" PRIu64, f->path, f->len,
		    setup));
	len = get(f->data, H_SYSSIZE, 4) * 16;
	if (len > f->len - setup)
		return (vmm_fail(EINVAL, "'%s' is cut off: it has %zu bytes of %" PRIu64, f->path, f->len, setup + len));
	k->data = f->data + setup;
	k->len = f->len - setup;
	k->header_end = H_JUMP + 2 + get(f->data, H_JUMP + 1, 1);
	if (k->header_end > H_END_MAX)
		k->header_end = H_END_MAX;
	if (k->header_end > f->len)
		return (vmm_fail(EINVAL, "'%s' is cut off in its setup header", f->path));
	k->at = get(f->data, H_PREF_ADDRESS, 8);
	k->init_size = get(f->data, H_INIT_SIZE, 4);
	if (k->init_size < k->len)
		k->init_size = k->len;
	if (k->at < 0x100000 || k->at > UINT32_MAX)
		return (vmm_fail(EINVAL, "'%s' wants to be loaded at %#" PRIx64 ", which is not between 1 MiB and 4 GiB", f->path,
		    k->at));
	return (0);
}

static int
load_initrd(struct vmctx *vm, const struct boot_spec *spec, const struct kernel *k, uint8_t *params)
{
	const struct boot_file *initrd = &spec->modules[0];
	uint64_t limit = get(spec->kernel.data, H_INITRD_MAX, 4) + 1, at;
	void *to;

	at = boot_place(spec, k->at + k->init_size, limit, initrd->len, initrd->path);
	if (at == 0)
		return (-1);
	to = boot_ram(vm, spec, at, initrd->len, "the initrd");
	if (to == NULL)
		return (-1);
	memcpy(to, initrd->data, initrd->len);
	put(params, H_RAMDISK_IMAGE, 4, at);
	put(params, H_RAMDISK_SIZE, 4, initrd->len);
	return (0);
}

static int
load(struct vmctx *vm, struct vcpu *vcpu, const struct boot_spec *spec)
{
	struct kernel k = { 0 };
	size_t cmdmax, cmdlen = strlen(spec->cmdline);
	uint8_t *params, *to, *cmd;

	if (boot_check_cmdline(spec) != 0 || parse(spec, &k) != 0)
		return (-1);
	cmdmax = (size_t)get(spec->kernel.data, H_CMDLINE_SIZE, 4);
	if (cmdlen > cmdmax)
		return (vmm_fail(E2BIG, "the command line has %zu bytes; '%s' takes %zu", cmdlen, spec->kernel.path, cmdmax));
	if (spec->nmodules > 1)
		return (vmm_fail(EINVAL, "'%s' is a Linux kernel, which takes one initrd", spec->kernel.path));
	params = boot_ram(vm, spec, BOOT_INFO, PARAMS_LEN, "its parameters");
	cmd = params == NULL ? NULL : boot_ram(vm, spec, BOOT_CMDLINE, BOOT_CMDLINE_MAX, "its command line");
	/* Below the address that it prefers it would only move itself there. */
	to = cmd == NULL ? NULL : boot_ram(vm, spec, k.at, k.init_size, "the kernel");
	if (to == NULL)
		return (-1);
	memcpy(to, k.data, k.len);

	memset(params, 0, PARAMS_LEN);
	memcpy(params + H_START, spec->kernel.data + H_START, k.header_end - H_START);
	memcpy(cmd, spec->cmdline, cmdlen + 1);
	put(params, H_LOADER_TYPE, 1, LOADER_UNKNOWN);
	put(params, H_LOADFLAGS, 1, get(params, H_LOADFLAGS, 1) | CAN_USE_HEAP);
	put(params, H_HEAP_END_PTR, 2, 0xfe00);
	put(params, H_CMD_LINE_PTR, 4, BOOT_CMDLINE);
	put(params, H_RAMDISK_IMAGE, 8, 0);
	put(params, P_ACPI_RSDP, 8, spec->rsdp);
	if (spec->nmodules == 1 && load_initrd(vm, spec, &k, params) != 0)
		return (-1);
	for (unsigned i = 0; i < spec->nmap; i++) {
		put(params, P_E820_TABLE + 20 * i, 8, spec->map[i].base);
		put(params, P_E820_TABLE + 20 * i + 8, 8, spec->map[i].len);
		put(params, P_E820_TABLE + 20 * i + 16, 4, spec->map[i].type);
	}
	put(params, P_E820_ENTRIES, 1, spec->nmap);
	return (boot_enter_long(vm, vcpu, k.at + ENTRY64, BOOT_INFO));
}

const struct boot_protocol boot_linux_amd64 = {
	.name = "linux",
	.doc = "Linux bzImage",
	.arch = VM_ARCH_AMD64,
	.probe = is_linux,
	.load = load,
};
