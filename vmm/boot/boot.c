/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * boot.c - what the boot protocols share: files, places in RAM, entry states.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vmmapi/amd64.h>

#include "../error.h"
#include "boot.h"

#define	FILE_MAX	(2ULL << 30)

static const struct {
	enum boot_protocol protocol;
	const char	*name;
	bool		(*is)(const struct boot_file *f);
	int		(*load)(struct vmctx *vm, struct vcpu *vcpu, const struct boot_spec *spec);
} protocols[] = {
	{ BOOT_LINUX, "Linux 64-bit entry", boot_is_linux, boot_linux },
	{ BOOT_PVH, "PVH", boot_is_pvh, boot_pvh },
	{ BOOT_MULTIBOOT, "multiboot", boot_is_multiboot, boot_multiboot },
};

const char *
boot_protocol_name(enum boot_protocol protocol)
{
	return (protocols[protocol].name);
}

int
boot_load(struct vmctx *vm, struct vcpu *vcpu, const struct boot_spec *spec, enum boot_protocol *protocol)
{
	struct elf_image elf;

	if (strlen(spec->cmdline) >= BOOT_CMDLINE_MAX)
		return (vmm_fail(E2BIG, "the kernel's command line has %zu bytes, and may have %u", strlen(spec->cmdline),
		    BOOT_CMDLINE_MAX - 1));
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
		if (!protocols[i].is(&spec->kernel))
			continue;
		if (protocol != NULL)
			*protocol = protocols[i].protocol;
		return (protocols[i].load(vm, vcpu, spec));
	}
	/* What is wrong with an ELF file says more. */
	if (spec->kernel.len >= 4 && memcmp(spec->kernel.data, "\177ELF", 4) == 0 && elf_parse(&spec->kernel, &elf) != 0)
		return (-1);
	return (vmm_fail(ENOEXEC, "'%s' is no kernel that can be booted: neither a Linux bzImage, nor an ELF file with a PVH "
	    "entry, nor a multiboot kernel", spec->kernel.path));
}

static int
read_all(int fd, uint8_t *to, size_t len)
{
	size_t done = 0;
	ssize_t n;

	while (done < len) {
		n = read(fd, to + done, len - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return (errno);
		if (n == 0)
			return (EIO);
		done += (size_t)n;
	}
	return (0);
}

int
boot_read_file(const char *path, struct boot_file *file)
{
	struct stat st;
	uint8_t *data;
	int fd, error;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return (vmm_fail_sys(errno, "cannot open '%s'", path));
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0) {
		close(fd);
		return (vmm_fail(EINVAL, "'%s' is not a file with something in it", path));
	}
	if ((uint64_t)st.st_size > FILE_MAX) {
		close(fd);
		return (vmm_fail(EFBIG, "'%s' has %jd bytes; more than 2 GiB are never a kernel or an initrd", path,
		    (intmax_t)st.st_size));
	}
	data = malloc((size_t)st.st_size);
	if (data == NULL) {
		close(fd);
		return (vmm_fail(ENOMEM, "no memory for '%s'", path));
	}
	error = read_all(fd, data, (size_t)st.st_size);
	close(fd);
	if (error != 0) {
		free(data);
		return (vmm_fail_sys(error, "cannot read '%s'", path));
	}
	*file = (struct boot_file){ .path = path, .data = data, .len = (size_t)st.st_size, .cmdline = "" };
	return (0);
}

/* RAM */

static bool
in_map(const struct boot_spec *spec, uint64_t gpa, uint64_t len)
{
	for (unsigned i = 0; i < spec->nmap; i++) {
		const struct boot_range *r = &spec->map[i];

		if (r->type == BOOT_RAM && gpa >= r->base && gpa - r->base < r->len && len <= r->len - (gpa - r->base))
			return (true);
	}
	return (false);
}

void *
boot_ram(struct vmctx *vm, const struct boot_spec *spec, uint64_t gpa, uint64_t len, const char *what)
{
	void *p = in_map(spec, gpa, len) ? vm_map_gpa(vm, gpa, len) : NULL;

	if (p == NULL)
		(void)vmm_fail(ENOMEM, "'%s': %s (%" PRIu64 " bytes at %#" PRIx64 ") is not in the guest's RAM; give it more "
		    "memory", spec->kernel.path, what, len, gpa);
	return (p);
}

uint64_t
boot_place(const struct boot_spec *spec, uint64_t floor, uint64_t limit, uint64_t len, const char *what)
{
	uint64_t best = 0;

	for (unsigned i = 0; i < spec->nmap; i++) {
		const struct boot_range *r = &spec->map[i];
		uint64_t end = r->base + r->len, at;

		if (r->type != BOOT_RAM)
			continue;
		if (end > limit)
			end = limit;
		if (end < r->base || end - r->base < len)
			continue;
		at = (end - len) & ~0xfffULL;
		if (at >= r->base && at >= floor && at > best)
			best = at;
	}
	if (best == 0)
		(void)vmm_fail(ENOMEM, "%s (%" PRIu64 " bytes) does not fit in the guest's RAM between %#" PRIx64 " and %#" PRIx64
		    "; give it more memory", what, len, floor, limit);
	return (best);
}

int
boot_modules(struct vmctx *vm, const struct boot_spec *spec, uint64_t floor, struct boot_module place[static BOOT_MODULES_MAX])
{
	uint64_t limit = UINT32_MAX;
	uint32_t args = BOOT_MODARGS;

	for (unsigned i = 0; i < spec->nmodules; i++) {
		const struct boot_file *m = &spec->modules[i];
		size_t arglen = strlen(m->cmdline) + 1;
		void *to;

		if (arglen > BOOT_MODARGS + BOOT_MODARGS_MAX - args)
			return (vmm_fail(E2BIG, "the command lines of the modules have more than %u bytes", BOOT_MODARGS_MAX));
		place[i].at = boot_place(spec, floor, limit, m->len, m->path);
		if (place[i].at == 0)
			return (-1);
		to = boot_ram(vm, spec, place[i].at, m->len, "a module");
		if (to == NULL)
			return (-1);
		if (vm_gpa_write(vm, args, m->cmdline, arglen) != 0)
			return (vmm_fail_vm("'%s'", m->path));
		memcpy(to, m->data, m->len);
		place[i].args = args;
		args += (uint32_t)arglen;
		limit = place[i].at;
	}
	return (0);
}

/* Entry states */

#define	CR0_PE		0x00000001U
#define	CR0_ET		0x00000010U
#define	CR0_PG		0x80000000U
#define	CR4_PAE		0x00000020U
#define	EFER_LME	0x00000100U
#define	EFER_LMA	0x00000400U

/*
 * Null, null, code, data at selectors 0x10 and 0x18, as Linux wants it, and 32-bit code at 0x20; base 0, limit 4 GiB - 1 (Intel
 * SDM vol. 3 3.4.5).
 */
#define	SEL_CODE64	0x10
#define	SEL_DATA	0x18
#define	SEL_CODE32	0x20
static const uint64_t gdt[] = { 0, 0, 0x00af9b000000ffffULL, 0x00cf93000000ffffULL, 0x00cf9b000000ffffULL };

static int
set_segments(struct vmctx *vm, struct vcpu *vcpu, bool wide)
{
	static const int data[] = {
		VM_AMD64_REG_DS, VM_AMD64_REG_ES, VM_AMD64_REG_SS, VM_AMD64_REG_FS, VM_AMD64_REG_GS,
	};
	const uint32_t flat = VM_AMD64_SEG_P | VM_AMD64_SEG_G;

	if (vm_gpa_write(vm, BOOT_GDT, gdt, sizeof(gdt)) != 0 ||
	    vm_set_desc(vcpu, VM_AMD64_REG_GDTR, BOOT_GDT, sizeof(gdt) - 1, 0) != 0 ||
	    vm_set_desc(vcpu, VM_AMD64_REG_IDTR, 0, 0, 0) != 0 ||
	    vm_set_register(vcpu, VM_AMD64_REG_CS, wide ? SEL_CODE64 : SEL_CODE32) != 0 ||
	    vm_set_desc(vcpu, VM_AMD64_REG_CS, 0, UINT32_MAX, flat | 0x1b | (wide ? VM_AMD64_SEG_L : VM_AMD64_SEG_DB)) != 0 ||
	    vm_set_register(vcpu, VM_AMD64_REG_TR, 0) != 0 ||
	    vm_set_desc(vcpu, VM_AMD64_REG_TR, 0, 0x67, VM_AMD64_SEG_P | 0x0b) != 0 ||
	    vm_set_register(vcpu, VM_AMD64_REG_LDTR, 0) != 0 ||
	    vm_set_desc(vcpu, VM_AMD64_REG_LDTR, 0, 0, VM_AMD64_SEG_UNUSABLE) != 0)
		return (-1);
	for (size_t i = 0; i < sizeof(data) / sizeof(data[0]); i++) {
		if (vm_set_register(vcpu, data[i], SEL_DATA) != 0 ||
		    vm_set_desc(vcpu, data[i], 0, UINT32_MAX, flat | VM_AMD64_SEG_DB | 0x13) != 0)
			return (-1);
	}
	return (0);
}

int
boot_enter_flat32(struct vmctx *vm, struct vcpu *vcpu, uint32_t eip, uint32_t eax, uint32_t ebx)
{
	static const int regs[] = {
		VM_AMD64_REG_CR0, VM_AMD64_REG_RFLAGS, VM_AMD64_REG_RIP, VM_AMD64_REG_RSP, VM_AMD64_REG_RAX,
		VM_AMD64_REG_RBX,
	};
	const uint64_t vals[] = { CR0_PE | CR0_ET, 2, eip, BOOT_STACK, eax, ebx };

	if (set_segments(vm, vcpu, false) != 0)
		return (-1);
	return (vm_set_register_set(vcpu, sizeof(regs) / sizeof(regs[0]), regs, vals));
}

/* Six pages of tables map the first 4 GiB to themselves, in pages of 2 MiB (SDM vol. 3 4.5). */
static int
identity_map(struct vmctx *vm)
{
	uint64_t *t = vm_map_gpa(vm, BOOT_TABLES, 6 * 4096);

	if (t == NULL)
		return (vmm_fail(ENOMEM, "there is no RAM for page tables at %#x", BOOT_TABLES));
	memset(t, 0, 6 * 4096);
	t[0] = (BOOT_TABLES + 4096) | 3;
	for (unsigned i = 0; i < 4; i++)
		t[512 + i] = (BOOT_TABLES + (2 + i) * 4096ULL) | 3;
	for (unsigned i = 0; i < 2048; i++)
		t[1024 + i] = (uint64_t)i << 21 | 0x83;
	return (0);
}

int
boot_enter_long(struct vmctx *vm, struct vcpu *vcpu, uint64_t rip, uint64_t rsi)
{
	static const int regs[] = {
		VM_AMD64_REG_CR3, VM_AMD64_REG_CR4, VM_AMD64_REG_EFER, VM_AMD64_REG_CR0, VM_AMD64_REG_RFLAGS, VM_AMD64_REG_RIP,
		VM_AMD64_REG_RSP, VM_AMD64_REG_RSI,
	};
	const uint64_t vals[] = { BOOT_TABLES, CR4_PAE, EFER_LME | EFER_LMA, CR0_PE | CR0_ET | CR0_PG, 2, rip, BOOT_STACK, rsi };

	if (identity_map(vm) != 0 || set_segments(vm, vcpu, true) != 0)
		return (-1);
	return (vm_set_register_set(vcpu, sizeof(regs) / sizeof(regs[0]), regs, vals));
}
