/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * boot.c - direct boot: what each protocol leaves in RAM and registers, what kernels see, and what damaged files get.
 */
#include <vmmapi.h>
#include <vmmapi/amd64.h>

#include "boot/amd64/amd64.h"
#include "boot_files.h"
#include "error.h"
#include "soft_amd64_guest.h"

#define	LOW_END		0x9fc00ULL
#define	RAM_END		0x1000000ULL
#define	RSDP		0xf0000U
#define	EXIT_PORT	0x501
#define	GOOD		0x2a

struct fx {
	struct vmctx	*vm;
	struct vcpu	*vcpu;
	uint8_t		*mem;
	struct boot_spec spec;
	const struct bf	*file;		/* of the kernel; it may change */
};

static void
fx_open(struct fx *fx)
{
	memset(fx, 0, sizeof(*fx));
	fx->vm = tv_new(VM_ARCH_AMD64, RAM_END, 0);
	fx->mem = vm_map_gpa(fx->vm, 0, RAM_END);
	CHECK(fx->mem != NULL);
	fx->vcpu = tv_cpu(fx->vm, 0);
	fx->spec.cmdline = "hello=1";
	fx->spec.rsdp = RSDP;
	fx->spec.nmap = 3;
	fx->spec.map[0] = (struct boot_range){ 0, LOW_END, BOOT_RAM };
	fx->spec.map[1] = (struct boot_range){ LOW_END, 0x100000 - LOW_END, BOOT_RESERVED };
	fx->spec.map[2] = (struct boot_range){ 0x100000, RAM_END - 0x100000, BOOT_RAM };
}

static void
fx_close(struct fx *fx)
{
	vm_vcpu_close(fx->vcpu);
	vm_close(fx->vm);
}

static void
fx_kernel(struct fx *fx, const struct bf *f)
{
	fx->file = f;
}

static void
fx_module(struct fx *fx, const char *path, const char *cmdline, const void *data, size_t len)
{
	fx->spec.modules[fx->spec.nmodules++] = (struct boot_file){ .path = path, .data = data, .len = len, .cmdline = cmdline };
}

static uint64_t
mem(const struct fx *fx, uint64_t gpa, unsigned size)
{
	uint64_t v = 0;

	CHECK(gpa + size <= RAM_END);
	memcpy(&v, fx->mem + gpa, size);
	return (v);
}

static int
try_load(struct fx *fx, const struct boot_protocol **got)
{
	const struct bf *f = fx->file;

	fx->spec.kernel = (struct boot_file){ .path = "kernel", .data = f->d, .len = f->len, .cmdline = "" };
	return (boot_load(fx->vm, fx->vcpu, &fx->spec, got));
}

static void
load(struct fx *fx, const struct boot_protocol *want)
{
	const struct boot_protocol *got;

	CHECKF(try_load(fx, &got) == 0, "%s", vmm_errmsg());
	CHECK_STR(got->name, want->name);
	CHECK(got->doc[0] != '\0');
}

/* Loading fails with this, and the sentence has these words. */
static void
refuse(struct fx *fx, int error, const char *words)
{
	errno = 0;
	CHECK_EQ(try_load(fx, NULL), -1);
	CHECK_HAS(vmm_errmsg(), words);
	CHECKF(errno == error, "errno %d, not %d: %s", errno, error, vmm_errmsg());
}

static const uint8_t spin[] = { 0xeb, 0xfe };
static const char initrd_text[] = "MODULE of the test, and then some";

/* Segments as a flat GDT gives them: selector, base, limit, and bits of the access word. */
static void
check_segment(struct fx *fx, int reg, uint64_t sel, uint32_t access)
{
	uint64_t base;
	uint32_t limit, got;

	CHECKF(get(fx->vcpu, reg) == sel, "register %d is %#llx", reg, (unsigned long long)get(fx->vcpu, reg));
	CHECK_EQ(vm_get_desc(fx->vcpu, reg, &base, &limit, &got), 0);
	CHECK_EQ(base, 0);
	CHECK_EQ(limit, UINT32_MAX);
	CHECK_EQ(got, access);
	/* And in the GDT, for reloads: present, flat, 4 KiB units. */
	CHECK_EQ(mem(fx, BOOT_GDT + sel, 8) & 0x000f00000000ffffULL, 0x000f00000000ffffULL);
	CHECK_EQ(mem(fx, BOOT_GDT + sel + 5, 1), access & 0xff);
	CHECK_EQ(mem(fx, BOOT_GDT + sel + 6, 1) >> 4, access >> 12 & 0xf);
}

static void
check_segments(struct fx *fx, bool wide)
{
	static const int data[] = {
		VM_AMD64_REG_DS, VM_AMD64_REG_ES, VM_AMD64_REG_SS, VM_AMD64_REG_FS, VM_AMD64_REG_GS,
	};
	uint64_t base;
	uint32_t limit, access;

	check_segment(fx, VM_AMD64_REG_CS, wide ? 0x10 : 0x20, wide ? 0xa09b : 0xc09b);
	for (size_t i = 0; i < sizeof(data) / sizeof(data[0]); i++)
		check_segment(fx, data[i], 0x18, 0xc093);
	CHECK_EQ(vm_get_desc(fx->vcpu, VM_AMD64_REG_GDTR, &base, &limit, &access), 0);
	CHECK_EQ(base, BOOT_GDT);
	CHECK(limit >= 0x27);
	CHECK_EQ(vm_get_desc(fx->vcpu, VM_AMD64_REG_TR, &base, &limit, &access), 0);
	CHECK_EQ(access & 0x9f, 0x8b);
	CHECK(limit >= 0x67);
	CHECK_EQ(get(fx->vcpu, VM_AMD64_REG_RFLAGS), 2);
}

/* Run to the write of the exit port; its byte. */
static unsigned
run_kernel(struct fx *fx)
{
	struct vm_exit exit;

	CHECKF(vm_run(fx->vcpu, &exit) == 0, "%s", vm_errmsg());
	CHECKF(exit.code == VM_EXIT_IO && exit.u.io.write && exit.u.io.port == EXIT_PORT, "exit %d at %#llx", exit.code,
	    (unsigned long long)exit.pc);
	return ((unsigned)exit.u.io.data & 0xff);
}

/* Linux */

TEST(linux_in_ram)
{
	struct fx fx;
	struct bf f;

	fx_open(&fx);
	bf_linux(&f, spin, sizeof(spin));
	memset(fx.mem + BOOT_INFO, 0xee, 0x1000);
	fx_kernel(&fx, &f);
	load(&fx, &boot_linux_amd64);

	CHECK(memcmp(fx.mem + BF_LINUX_AT, f.d + BF_LINUX_SETUP, BF_LINUX_LEN) == 0);
	/* The zero page: the header as in the file, but for what is the loader's. */
	CHECK(memcmp(fx.mem + BOOT_INFO + 0x1f1, f.d + 0x1f1, 0x210 - 0x1f1) == 0);
	CHECK(memcmp(fx.mem + BOOT_INFO + 0x22c, f.d + 0x22c, 0x268 - 0x22c) == 0);
	CHECK_EQ(mem(&fx, BOOT_INFO + 0x210, 1), 0xff);
	CHECK_EQ(mem(&fx, BOOT_INFO + 0x211, 1) & 0x81, 0x81);
	CHECK_EQ(mem(&fx, BOOT_INFO + 0x218, 8), 0);
	CHECK_EQ(mem(&fx, BOOT_INFO + 0x228, 4), BOOT_CMDLINE);
	CHECK_EQ(mem(&fx, BOOT_INFO + 0x70, 8), RSDP);
	CHECK_STR((char *)fx.mem + BOOT_CMDLINE, "hello=1");
	for (unsigned i = 0; i < 0x1f1; i++)
		CHECKF(i == 0x1e8 || (i >= 0x70 && i < 0x78) || fx.mem[BOOT_INFO + i] == 0, "byte %#x", i);
	CHECK_EQ(mem(&fx, BOOT_INFO + 0x268, 8), 0);
	/* The memory map */
	CHECK_EQ(mem(&fx, BOOT_INFO + 0x1e8, 1), 3);
	for (unsigned i = 0; i < 3; i++) {
		CHECK_EQ(mem(&fx, BOOT_INFO + 0x2d0 + 20 * i, 8), fx.spec.map[i].base);
		CHECK_EQ(mem(&fx, BOOT_INFO + 0x2d0 + 20 * i + 8, 8), fx.spec.map[i].len);
		CHECK_EQ(mem(&fx, BOOT_INFO + 0x2d0 + 20 * i + 16, 4), fx.spec.map[i].type);
	}
	CHECK_EQ(mem(&fx, BOOT_INFO + 0x2d0 + 60, 8), 0);
	/* Registers */
	CHECK_EQ(get(fx.vcpu, VM_AMD64_REG_RIP), BF_LINUX_AT + 0x200);
	CHECK_EQ(get(fx.vcpu, VM_AMD64_REG_RSI), BOOT_INFO);
	CHECK_EQ(get(fx.vcpu, VM_AMD64_REG_CR0), 0x80000011);
	CHECK_EQ(get(fx.vcpu, VM_AMD64_REG_CR4), 0x20);
	CHECK_EQ(get(fx.vcpu, VM_AMD64_REG_EFER), 0x500);
	check_segments(&fx, true);
	/* 4 GiB mapped to themselves */
	for (uint64_t va = 0; va < 1ULL << 32; va += 2 << 20) {
		uint64_t l4 = mem(&fx, get(fx.vcpu, VM_AMD64_REG_CR3), 8);
		uint64_t l3 = mem(&fx, (l4 & ~0xfffULL) + (va >> 30) * 8, 8);

		CHECK_EQ(l4 & 0xfff, 3);
		CHECK_EQ(l3 & 0xfff, 3);
		CHECK_EQ(mem(&fx, (l3 & ~0xfffULL) + (va >> 21 & 511) * 8, 8), va | 0x83);
	}
	fx_close(&fx);
}

TEST(linux_initrd)
{
	uint64_t at, size, end;
	struct fx fx;
	struct bf f;
	char *big;

	fx_open(&fx);
	bf_linux(&f, spin, sizeof(spin));
	fx_kernel(&fx, &f);
	fx_module(&fx, "initrd", "", initrd_text, sizeof(initrd_text));
	load(&fx, &boot_linux_amd64);
	at = mem(&fx, BOOT_INFO + 0x218, 4);
	size = mem(&fx, BOOT_INFO + 0x21c, 4);
	CHECK_EQ(size, sizeof(initrd_text));
	CHECK_EQ(at, RAM_END - 0x1000);			/* as high as can be, on a page */
	CHECK_STR((char *)fx.mem + at, initrd_text);
	CHECK_EQ(mem(&fx, BOOT_INFO + 0xc0, 8), 0);	/* upper halves */

	/* Below the kernel's limit, inclusive. */
	bf_put(&f, 0x22c, 4, 0x6fffff);
	load(&fx, &boot_linux_amd64);
	CHECK_EQ(mem(&fx, BOOT_INFO + 0x218, 4), 0x6ff000);

	/* And never over the kernel, with what it needs to unpack itself. */
	end = BF_LINUX_AT + BF_LINUX_INIT;
	bf_put(&f, 0x22c, 4, end + 0xfff);
	load(&fx, &boot_linux_amd64);
	CHECK_EQ(mem(&fx, BOOT_INFO + 0x218, 4), end);
	bf_put(&f, 0x22c, 4, end + 0x10);
	refuse(&fx, ENOMEM, "initrd");
	bf_put(&f, 0x22c, 4, 0);
	refuse(&fx, ENOMEM, "initrd");
	bf_put(&f, 0x22c, 4, UINT32_MAX);
	load(&fx, &boot_linux_amd64);

	/* Exactly what is free, and a byte more. */
	big = calloc(1, RAM_END);
	CHECK(big != NULL);
	fx.spec.modules[0].data = (uint8_t *)big;
	fx.spec.modules[0].len = RAM_END - end;
	load(&fx, &boot_linux_amd64);
	CHECK_EQ(mem(&fx, BOOT_INFO + 0x218, 4), end);
	fx.spec.modules[0].len++;
	refuse(&fx, ENOMEM, "give it more memory");
	free(big);
	fx.spec.modules[0].len = 1;

	fx_module(&fx, "second", "", initrd_text, 1);
	refuse(&fx, EINVAL, "one initrd");
	fx_close(&fx);
}

/* The place that it prefers, also if it is relocatable: lower it does not run, higher there is no more RAM. */
TEST(linux_place)
{
	struct fx fx;
	struct bf f;

	fx_open(&fx);
	bf_linux(&f, spin, sizeof(spin));
	fx_kernel(&fx, &f);
	bf_put(&f, 0x258, 8, 0x100000);
	load(&fx, &boot_linux_amd64);
	CHECK_EQ(get(fx.vcpu, VM_AMD64_REG_RIP), 0x100000 + 0x200);
	bf_put(&f, 0x258, 8, RAM_END - BF_LINUX_INIT);
	load(&fx, &boot_linux_amd64);
	CHECK(memcmp(fx.mem + RAM_END - BF_LINUX_INIT, f.d + BF_LINUX_SETUP, BF_LINUX_LEN) == 0);
	bf_put(&f, 0x258, 8, RAM_END - BF_LINUX_INIT + 1);
	refuse(&fx, ENOMEM, "the kernel");
	fx_close(&fx);
}

/* The kernel sees it: cl counts the checks, so that the code says which one failed. */
GUEST(linux_code, 64,
    "movb $1, %cl\n cmpl $0x53726448, 0x202(%rsi)\n jne 1f\n"
    "incb %cl\n cmpb $3, 0x1e8(%rsi)\n jne 1f\n"
    "incb %cl\n movl 0x228(%rsi), %eax\n cmpl $0x6c6c6568, (%rax)\n jne 1f\n"		/* hell */
    "incb %cl\n movl 0x218(%rsi), %eax\n cmpl $0x55444f4d, (%rax)\n jne 1f\n"		/* MODU */
    "incb %cl\n pushfq\n popq %rax\n testl $0x200, %eax\n jnz 1f\n"
    "incb %cl\n movw %ds, %ax\n movw %ax, %ds\n movw %ax, %ss\n cmpw $0x18, %ax\n jne 1f\n"
    "incb %cl\n pushq $0x10\n leaq 2f(%rip), %rax\n pushq %rax\n lretq\n 2:\n"	/* __BOOT_CS */
    "movb $0x2a, %cl\n"
    "1: movb %cl, %al\n movw $0x501, %dx\n outb %al, %dx\n hlt");

TEST(linux_runs)
{
	struct fx fx;
	struct bf f;

	fx_open(&fx);
	bf_linux(&f, linux_code, (size_t)(linux_code_end - linux_code));
	fx_kernel(&fx, &f);
	fx_module(&fx, "initrd", "", initrd_text, sizeof(initrd_text));
	load(&fx, &boot_linux_amd64);
	CHECK_EQ(run_kernel(&fx), GOOD);
	fx_close(&fx);
}

TEST(linux_damaged)
{
	static const struct {
		size_t		 off;
		unsigned	 size;
		uint64_t	 val;
		int		 error;
		const char	*words;
	} cases[] = {
		{ 0x1fe, 2, 0xaa54, ENOEXEC, "no kernel" },
		{ 0x203, 1, 'D', ENOEXEC, "no kernel" },
		{ 0x206, 2, 0x20b, EINVAL, "boot protocol 2.11" },
		{ 0x206, 2, 0, EINVAL, "64-bit entry" },
		{ 0x236, 2, 0, EINVAL, "64-bit entry" },
		{ 0x236, 2, 0xfffe, EINVAL, "64-bit entry" },
		{ 0x211, 1, 0, EINVAL, "64-bit entry" },
		{ 0x1f1, 1, 0xff, EINVAL, "cut off" },
		{ 0x1f1, 1, 0, EINVAL, "cut off" },			/* means 4 */
		{ 0x1f4, 4, BF_LINUX_LEN / 16 + 1, EINVAL, "cut off" },
		{ 0x1f4, 4, UINT32_MAX, EINVAL, "cut off" },
		{ 0x258, 8, 0, EINVAL, "between 1 MiB and 4 GiB" },
		{ 0x258, 8, 0xfffff, EINVAL, "between 1 MiB and 4 GiB" },
		{ 0x258, 8, 1ULL << 32, EINVAL, "between 1 MiB and 4 GiB" },
		{ 0x258, 8, UINT64_MAX, EINVAL, "between 1 MiB and 4 GiB" },
		{ 0x260, 4, UINT32_MAX, ENOMEM, "give it more memory" },
		{ 0x260, 4, RAM_END - BF_LINUX_ALIGN + 1, ENOMEM, "give it more memory" },
		{ 0x238, 4, 6, E2BIG, "command line" },
	};
	struct fx fx;
	struct bf f;

	fx_open(&fx);
	fx_kernel(&fx, &f);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bf_linux(&f, spin, sizeof(spin));
		bf_put(&f, cases[i].off, cases[i].size, cases[i].val);
		refuse(&fx, cases[i].error, cases[i].words);
		CHECK_HAS(vmm_errmsg(), "kernel");
	}
	/* As far as it may go. */
	bf_linux(&f, spin, sizeof(spin));
	bf_put(&f, 0x260, 4, RAM_END - BF_LINUX_AT);
	bf_put(&f, 0x238, 4, 7);
	bf_put(&f, 0x201, 1, 0xff);			/* the header goes on as far as it can */
	load(&fx, &boot_linux_amd64);
	CHECK_EQ(mem(&fx, BOOT_INFO + 0x1e8, 1), 3);
	CHECK_EQ(mem(&fx, BOOT_INFO + 0x2d0 + 20, 8), LOW_END);
	fx_close(&fx);
}

/* PVH */

#define	INFO_MAGIC	0x336ec578

TEST(pvh_in_ram)
{
	static const unsigned kinds[] = { BF_PVH, BF_PVH | BF_WIDE, BF_PVH | BF_MULTIBOOT };
	uint64_t list, at, map;
	struct fx fx;
	struct bf f;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		fx_open(&fx);
		bf_elf(&f, kinds[i], spin, sizeof(spin));
		fx_kernel(&fx, &f);
		fx_module(&fx, "one", "one a=b", initrd_text, sizeof(initrd_text));
		fx_module(&fx, "two", "", initrd_text + 1, 0x123);
		fx.spec.modules[1].len = 5;
		memset(fx.mem + BF_ELF_AT, 0xee, 0x4000);
		load(&fx, &boot_pvh);
		CHECK(memcmp(fx.mem + BF_ELF_AT, f.d + BF_ELF_OFF, BF_ELF_FILESZ) == 0);
		for (uint64_t z = BF_ELF_FILESZ; z < BF_ELF_MEMSZ; z++)
			CHECK_EQ(fx.mem[BF_ELF_AT + z], 0);
		CHECK_EQ(fx.mem[BF_ELF_AT + BF_ELF_MEMSZ], 0xee);

		CHECK_EQ(get(fx.vcpu, VM_AMD64_REG_RIP), BF_ELF_ENTRY);
		CHECK_EQ(get(fx.vcpu, VM_AMD64_REG_RBX), BOOT_INFO);
		CHECK_EQ(get(fx.vcpu, VM_AMD64_REG_CR0), 0x11);
		CHECK_EQ(get(fx.vcpu, VM_AMD64_REG_CR4), 0);
		CHECK_EQ(get(fx.vcpu, VM_AMD64_REG_EFER), 0);
		check_segments(&fx, false);

		CHECK_EQ(mem(&fx, BOOT_INFO, 4), INFO_MAGIC);
		CHECK_EQ(mem(&fx, BOOT_INFO + 4, 4), 1);
		CHECK_EQ(mem(&fx, BOOT_INFO + 8, 4), 0);
		CHECK_EQ(mem(&fx, BOOT_INFO + 12, 4), 2);
		CHECK_STR((char *)fx.mem + mem(&fx, BOOT_INFO + 24, 8), "hello=1");
		CHECK_EQ(mem(&fx, BOOT_INFO + 32, 8), RSDP);
		map = mem(&fx, BOOT_INFO + 40, 8);
		CHECK_EQ(mem(&fx, BOOT_INFO + 48, 4), 3);
		for (unsigned r = 0; r < 3; r++) {
			CHECK_EQ(mem(&fx, map + 24 * r, 8), fx.spec.map[r].base);
			CHECK_EQ(mem(&fx, map + 24 * r + 8, 8), fx.spec.map[r].len);
			CHECK_EQ(mem(&fx, map + 24 * r + 16, 8), fx.spec.map[r].type);
		}
		list = mem(&fx, BOOT_INFO + 16, 8);
		at = mem(&fx, list, 8);
		CHECK_EQ(at & 0xfff, 0);
		CHECK_EQ(mem(&fx, list + 8, 8), sizeof(initrd_text));
		CHECK_STR((char *)fx.mem + at, initrd_text);
		CHECK_STR((char *)fx.mem + mem(&fx, list + 16, 8), "one a=b");
		CHECK_EQ(mem(&fx, list + 24, 8), 0);
		CHECK(mem(&fx, list + 32, 8) + 5 <= at);	/* apart */
		CHECK(memcmp(fx.mem + mem(&fx, list + 32, 8), initrd_text + 1, 5) == 0);
		CHECK_EQ(mem(&fx, list + 40, 8), 5);
		CHECK_EQ(mem(&fx, list + 48, 8), 0);		/* no command line */
		fx_close(&fx);
	}
}

GUEST(pvh_code, 32,
    "movb $1, %cl\n cmpl $0x336ec578, (%ebx)\n jne 1f\n"
    "incb %cl\n cmpl $1, 4(%ebx)\n jne 1f\n"
    "incb %cl\n cmpl $1, 12(%ebx)\n jne 1f\n"
    "incb %cl\n movl 16(%ebx), %eax\n movl (%eax), %eax\n cmpl $0x55444f4d, (%eax)\n jne 1f\n"
    "incb %cl\n movl 24(%ebx), %eax\n cmpl $0x6c6c6568, (%eax)\n jne 1f\n"
    "incb %cl\n movl %cr0, %eax\n andl $0xe0000001, %eax\n cmpl $1, %eax\n jne 1f\n"
    "incb %cl\n pushfl\n popl %eax\n testl $0x20300, %eax\n jnz 1f\n"
    "incb %cl\n movw %ds, %ax\n movw %ax, %ds\n movw %ax, %es\n movw %ax, %ss\n"
    "incb %cl\n pushl %cs\n call 2f\n 2: addl $(3f - 2b), (%esp)\n lretl\n 3:\n"
    "movb $0x2a, %cl\n"
    "1: movb %cl, %al\n movw $0x501, %dx\n outb %al, %dx\n hlt");

TEST(pvh_runs)
{
	struct fx fx;
	struct bf f;

	fx_open(&fx);
	bf_elf(&f, BF_PVH | BF_WIDE, pvh_code, (size_t)(pvh_code_end - pvh_code));
	fx_kernel(&fx, &f);
	fx_module(&fx, "initrd", "", initrd_text, sizeof(initrd_text));
	load(&fx, &boot_pvh);
	CHECK_EQ(run_kernel(&fx), GOOD);
	fx_close(&fx);
}

/* Notes may be aligned to 8, have others before them, 64-bit entries, and no padding behind the last. */
TEST(pvh_notes)
{
	struct fx fx;
	struct bf f;
	size_t note = BF_PHDR64 + sizeof(Elf64_Phdr);

	fx_open(&fx);
	fx_kernel(&fx, &f);
	bf_elf(&f, BF_PVH | BF_WIDE, spin, sizeof(spin));
	memmove(f.d + BF_ELF_NOTE + 24, f.d + BF_ELF_NOTE, 20);
	bf_put(&f, BF_ELF_NOTE + 4, 4, 5);
	bf_put(&f, BF_ELF_NOTE + 8, 4, 3);
	bf_put(&f, note + 32, 8, 24 + 20);
	load(&fx, &boot_pvh);

	bf_elf(&f, BF_PVH | BF_WIDE, spin, sizeof(spin));
	bf_put(&f, BF_ELF_NOTE + 4, 4, 8);
	bf_put(&f, note + 32, 8, 24);
	load(&fx, &boot_pvh);
	CHECK_EQ(get(fx.vcpu, VM_AMD64_REG_RIP), BF_ELF_ENTRY);
	bf_put(&f, BF_ELF_NOTE + 20, 4, 1);		/* an entry above 4 GiB is none */
	refuse(&fx, ENOEXEC, "no kernel");

	bf_elf(&f, BF_PVH | BF_WIDE, spin, sizeof(spin));
	bf_put(&f, note + 48, 8, 8);
	load(&fx, &boot_pvh);
	CHECK_EQ(get(fx.vcpu, VM_AMD64_REG_RIP), BF_ELF_ENTRY);

	/* Linked high: the entry is an address of the segment as the kernel knows it. */
	bf_elf(&f, BF_PVH | BF_WIDE, spin, sizeof(spin));
	bf_put(&f, BF_PHDR64 + 16, 8, 0xc0000000);
	bf_put(&f, BF_ELF_NOTE + 16, 4, 0xc0000020);
	load(&fx, &boot_pvh);
	CHECK_EQ(get(fx.vcpu, VM_AMD64_REG_RIP), BF_ELF_ENTRY);
	fx_close(&fx);
}

/* Fields of program headers, by their place in the 64-bit form. */
#define	P_TYPE		(BF_PHDR64 + 0)
#define	P_OFFSET	(BF_PHDR64 + 8)
#define	P_PADDR		(BF_PHDR64 + 24)
#define	P_FILESZ	(BF_PHDR64 + 32)
#define	P_MEMSZ		(BF_PHDR64 + 40)
#define	P_NEXT		sizeof(Elf64_Phdr)

TEST(elf_damaged)
{
	static const struct {
		size_t		 off;
		unsigned	 size;
		uint64_t	 val;
		int		 error;
		const char	*words;
	} cases[] = {
		{ EI_CLASS, 1, 0, EINVAL, "damaged" },
		{ EI_CLASS, 1, 3, EINVAL, "damaged" },
		{ EI_DATA, 1, ELFDATA2MSB, ENOEXEC, "another processor" },
		{ offsetof(Elf64_Ehdr, e_machine), 2, EM_AARCH64, ENOEXEC, "another processor" },
		{ offsetof(Elf64_Ehdr, e_phoff), 8, BF_ELF_OFF + BF_ELF_FILESZ, EINVAL, "cut off in its program headers" },
		{ offsetof(Elf64_Ehdr, e_phoff), 8, UINT64_MAX, EINVAL, "cut off in its program headers" },
		{ offsetof(Elf64_Ehdr, e_phoff), 8, -56ULL, EINVAL, "cut off in its program headers" },
		{ offsetof(Elf64_Ehdr, e_phentsize), 2, 55, EINVAL, "program headers of 55 bytes" },
		{ offsetof(Elf64_Ehdr, e_phentsize), 2, 0, EINVAL, "program headers of 0 bytes" },
		{ offsetof(Elf64_Ehdr, e_phentsize), 2, 0xffff, EINVAL, "cut off in its program headers" },
		{ offsetof(Elf64_Ehdr, e_phnum), 2, 0xffff, EINVAL, "" },
		{ offsetof(Elf64_Ehdr, e_phnum), 2, 0, ENOEXEC, "no kernel" },
		{ P_TYPE, 4, 0, EINVAL, "is to start at" },
		{ P_OFFSET, 8, BF_ELF_OFF + 1, EINVAL, "cut off" },
		{ P_OFFSET, 8, BF_ELF_OFF + BF_ELF_FILESZ + 1, EINVAL, "cut off" },
		{ P_OFFSET, 8, UINT64_MAX, EINVAL, "cut off" },
		{ P_FILESZ, 8, BF_ELF_FILESZ + 1, EINVAL, "cut off" },
		{ P_FILESZ, 8, UINT64_MAX, EINVAL, "cut off" },
		{ P_MEMSZ, 8, BF_ELF_FILESZ - 1, EINVAL, "impossible" },
		{ P_MEMSZ, 8, 0, EINVAL, "is to start at" },
		{ P_MEMSZ, 8, UINT64_MAX, EINVAL, "impossible" },
		{ P_MEMSZ, 8, RAM_END, ENOMEM, "give it more memory" },
		{ P_MEMSZ, 8, RAM_END - BF_ELF_AT + 1, ENOMEM, "give it more memory" },
		{ P_MEMSZ, 8, 1ULL << 62, ENOMEM, "give it more memory" },
		{ P_PADDR, 8, 0xff000, EINVAL, "below 1 MiB" },
		{ P_PADDR, 8, 0, EINVAL, "below 1 MiB" },
		{ P_PADDR, 8, RAM_END, ENOMEM, "give it more memory" },
		{ P_PADDR, 8, 1ULL << 40, EINVAL, "is to start at" },
		{ P_PADDR, 8, UINT64_MAX, EINVAL, "impossible" },
		{ P_NEXT + P_OFFSET, 8, UINT64_MAX - 10, EINVAL, "cut off" },
		{ P_NEXT + P_FILESZ, 8, UINT64_MAX, EINVAL, "cut off" },
		{ P_NEXT + P_FILESZ, 8, 19, ENOEXEC, "no kernel" },
		{ P_NEXT + P_FILESZ, 8, 11, ENOEXEC, "no kernel" },
		{ P_NEXT + P_FILESZ, 8, 0, ENOEXEC, "no kernel" },
		{ BF_ELF_NOTE, 4, UINT32_MAX, ENOEXEC, "no kernel" },
		{ BF_ELF_NOTE, 4, 3, ENOEXEC, "no kernel" },
		{ BF_ELF_NOTE + 4, 4, UINT32_MAX, ENOEXEC, "no kernel" },
		{ BF_ELF_NOTE + 4, 4, 0, ENOEXEC, "no kernel" },
		{ BF_ELF_NOTE + 16, 4, 0, EINVAL, "is to start at" },
		{ BF_ELF_NOTE + 16, 4, BF_ELF_AT + BF_ELF_MEMSZ, EINVAL, "is to start at 0x103000" },
	};
	struct fx fx;
	struct bf f;

	fx_open(&fx);
	fx_kernel(&fx, &f);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bf_elf(&f, BF_PVH | BF_WIDE, spin, sizeof(spin));
		bf_put(&f, cases[i].off, cases[i].size, cases[i].val);
		if (cases[i].off == P_PADDR)			/* so that nothing but the place is wrong */
			bf_put(&f, BF_ELF_NOTE + 16, 4, BF_ELF_ENTRY);
		refuse(&fx, cases[i].error, cases[i].words);
		CHECK_HAS(vmm_errmsg(), "'kernel'");
	}

	/* Segments over each other, and more of them than there is room for. */
	bf_elf(&f, BF_PVH | BF_WIDE, spin, sizeof(spin));
	memcpy(f.d + P_TYPE + 2 * P_NEXT, f.d + P_TYPE, P_NEXT);
	bf_put(&f, offsetof(Elf64_Ehdr, e_phnum), 2, 3);
	bf_put(&f, P_PADDR + 2 * P_NEXT, 8, BF_ELF_AT + BF_ELF_MEMSZ - 1);
	refuse(&fx, EINVAL, "two segments for address 0x102fff");
	bf_put(&f, P_PADDR + 2 * P_NEXT, 8, BF_ELF_AT + BF_ELF_MEMSZ);
	load(&fx, &boot_pvh);
	CHECK(memcmp(fx.mem + BF_ELF_AT + BF_ELF_MEMSZ, f.d + BF_ELF_OFF, BF_ELF_FILESZ) == 0);
	bf_put(&f, offsetof(Elf64_Ehdr, e_phoff), 8, 0x240);
	bf_put(&f, offsetof(Elf64_Ehdr, e_phnum), 2, ELF_LOADS_MAX + 1);
	for (size_t i = 0; i <= ELF_LOADS_MAX; i++) {
		const Elf64_Phdr ph = { .p_type = PT_LOAD, .p_paddr = BF_ELF_AT + i, .p_memsz = 1 };

		memcpy(f.d + 0x240 + i * sizeof(ph), &ph, sizeof(ph));
	}
	refuse(&fx, EINVAL, "more than 32 segments");
	fx_close(&fx);
}

/* Multiboot */

static void
check_multiboot(struct fx *fx, uint64_t entry)
{
	uint64_t list, map;

	CHECK_EQ(get(fx->vcpu, VM_AMD64_REG_RIP), entry);
	CHECK_EQ(get(fx->vcpu, VM_AMD64_REG_RAX), 0x2badb002);
	CHECK_EQ(get(fx->vcpu, VM_AMD64_REG_RBX), BOOT_INFO);
	CHECK_EQ(get(fx->vcpu, VM_AMD64_REG_CR0), 0x11);
	check_segments(fx, false);
	CHECK_EQ(mem(fx, BOOT_INFO, 4), 0x24d);
	CHECK_EQ(mem(fx, BOOT_INFO + 4, 4), 639);
	CHECK_EQ(mem(fx, BOOT_INFO + 8, 4), (RAM_END >> 10) - 1024);
	CHECK_STR((char *)fx->mem + mem(fx, BOOT_INFO + 16, 4), "hello=1");
	CHECK_EQ(mem(fx, BOOT_INFO + 20, 4), 2);
	list = mem(fx, BOOT_INFO + 24, 4);
	CHECK_EQ(mem(fx, list, 4) & 0xfff, 0);
	CHECK_EQ(mem(fx, list + 4, 4) - mem(fx, list, 4), sizeof(initrd_text));
	CHECK_STR((char *)fx->mem + mem(fx, list, 4), initrd_text);
	CHECK_STR((char *)fx->mem + mem(fx, list + 8, 4), "one a=b");
	CHECK_EQ(mem(fx, list + 16 + 4, 4) - mem(fx, list + 16, 4), 5);
	CHECK(memcmp(fx->mem + mem(fx, list + 16, 4), initrd_text + 1, 5) == 0);
	CHECK_STR((char *)fx->mem + mem(fx, list + 16 + 8, 4), "");
	CHECK_EQ(mem(fx, BOOT_INFO + 44, 4), 3 * 24);
	map = mem(fx, BOOT_INFO + 48, 4);
	for (unsigned i = 0; i < 3; i++) {
		CHECK_EQ(mem(fx, map + 24 * i, 4), 20);
		CHECK_EQ(mem(fx, map + 24 * i + 4, 8), fx->spec.map[i].base);
		CHECK_EQ(mem(fx, map + 24 * i + 12, 8), fx->spec.map[i].len);
		CHECK_EQ(mem(fx, map + 24 * i + 20, 4), fx->spec.map[i].type);
	}
	CHECK_HAS((char *)fx->mem + mem(fx, BOOT_INFO + 64, 4), "hyve");
}

TEST(multiboot_in_ram)
{
	struct fx fx;
	struct bf f;

	fx_open(&fx);
	fx_kernel(&fx, &f);
	fx_module(&fx, "one", "one a=b", initrd_text, sizeof(initrd_text));
	fx_module(&fx, "two", "", initrd_text + 1, 5);
	bf_elf(&f, BF_MULTIBOOT, spin, sizeof(spin));
	memset(fx.mem + BF_ELF_AT, 0xee, 0x4000);
	load(&fx, &boot_multiboot);
	check_multiboot(&fx, BF_ELF_ENTRY);
	CHECK(memcmp(fx.mem + BF_ELF_AT, f.d + BF_ELF_OFF, BF_ELF_FILESZ) == 0);
	CHECK_EQ(mem(&fx, BF_ELF_AT + BF_ELF_MEMSZ - 8, 8), 0);
	CHECK_EQ(mem(&fx, BF_ELF_AT + BF_ELF_MEMSZ, 1), 0xee);

	/* By addresses, whatever is in the file. */
	bf_flat(&f, spin, sizeof(spin));
	memset(fx.mem + BF_FLAT_AT, 0xee, 0x4000);
	load(&fx, &boot_multiboot);
	check_multiboot(&fx, BF_FLAT_ENTRY);
	CHECK(memcmp(fx.mem + BF_FLAT_AT, f.d + BF_FLAT_OFF, BF_FLAT_LEN) == 0);
	CHECK_EQ(mem(&fx, BF_FLAT_AT + BF_FLAT_LEN, 8), 0);
	CHECK_EQ(mem(&fx, BF_FLAT_AT + BF_FLAT_LEN + BF_FLAT_BSS - 8, 8), 0);
	CHECK_EQ(mem(&fx, BF_FLAT_AT + BF_FLAT_LEN + BF_FLAT_BSS, 1), 0xee);

	/* No end: all of the file; no bss. */
	bf_put(&f, BF_FLAT_OFF + BF_FLAT_HEADER + 20, 8, 0);
	memset(fx.mem + BF_FLAT_AT, 0xee, 0x4000);
	load(&fx, &boot_multiboot);
	CHECK(memcmp(fx.mem + BF_FLAT_AT, f.d + BF_FLAT_OFF, BF_FLAT_LEN) == 0);
	CHECK_EQ(mem(&fx, BF_FLAT_AT + BF_FLAT_LEN, 1), 0xee);
	fx_close(&fx);
}

GUEST(multiboot_code, 32,
    "movb $1, %cl\n cmpl $0x2badb002, %eax\n jne 1f\n"
    "incb %cl\n movl (%ebx), %eax\n andl $0x4d, %eax\n cmpl $0x4d, %eax\n jne 1f\n"
    "incb %cl\n movl 16(%ebx), %eax\n cmpl $0x6c6c6568, (%eax)\n jne 1f\n"
    "incb %cl\n cmpl $1, 20(%ebx)\n jne 1f\n"
    "incb %cl\n movl 24(%ebx), %eax\n movl (%eax), %eax\n cmpl $0x55444f4d, (%eax)\n jne 1f\n"
    "incb %cl\n movl 24(%ebx), %eax\n movl 8(%eax), %eax\n cmpl $0x20656e6f, (%eax)\n jne 1f\n"	/* "one " */
    "incb %cl\n movl %cr0, %eax\n andl $0xe0000001, %eax\n cmpl $1, %eax\n jne 1f\n"
    "incb %cl\n pushfl\n popl %eax\n testl $0x20300, %eax\n jnz 1f\n"
    "movb $0x2a, %cl\n"
    "1: movb %cl, %al\n movw $0x501, %dx\n outb %al, %dx\n hlt");

TEST(multiboot_runs)
{
	struct fx fx;
	struct bf f;

	for (unsigned flat = 0; flat < 2; flat++) {
		fx_open(&fx);
		fx_kernel(&fx, &f);
		fx_module(&fx, "one", "one a=b", initrd_text, sizeof(initrd_text));
		if (flat != 0)
			bf_flat(&f, multiboot_code, (size_t)(multiboot_code_end - multiboot_code));
		else
			bf_elf(&f, BF_MULTIBOOT, multiboot_code, (size_t)(multiboot_code_end - multiboot_code));
		load(&fx, &boot_multiboot);
		CHECK_EQ(run_kernel(&fx), GOOD);
		fx_close(&fx);
	}
}

TEST(multiboot_damaged)
{
	static const struct {
		unsigned	 word;		/* of the header */
		uint32_t	 val;
		int		 error;
		const char	*words;
	} cases[] = {
		{ 0, 0x1badb003, ENOEXEC, "no kernel" },
		{ 2, 0, ENOEXEC, "no kernel" },
		{ 3, BF_FLAT_AT - 1, EINVAL, "load address is not in the file" },
		{ 3, UINT32_MAX, EINVAL, "load address is not in the file" },
		{ 4, BF_FLAT_AT + BF_FLAT_HEADER + 1, EINVAL, "load address is not in the file" },
		{ 4, BF_FLAT_AT - BF_FLAT_OFF - 1, EINVAL, "load address is not in the file" },
		{ 4, 0, EINVAL, "load address is not in the file" },
		{ 5, BF_FLAT_AT - 1, EINVAL, "load end" },
		{ 5, BF_FLAT_AT + BF_FLAT_LEN + 1, EINVAL, "load end" },
		{ 5, UINT32_MAX, EINVAL, "load end" },
		{ 6, BF_FLAT_AT + BF_FLAT_LEN - 1, EINVAL, "end of bss" },
		{ 6, 1, EINVAL, "end of bss" },
		{ 6, UINT32_MAX, ENOMEM, "give it more memory" },
		{ 6, RAM_END + 1, ENOMEM, "give it more memory" },
		{ 7, BF_FLAT_AT - 1, EINVAL, "is to start at" },
		{ 7, BF_FLAT_AT + BF_FLAT_LEN + BF_FLAT_BSS, EINVAL, "is to start at" },
	};
	const size_t h = BF_FLAT_OFF + BF_FLAT_HEADER;
	struct fx fx;
	struct bf f;

	fx_open(&fx);
	fx_kernel(&fx, &f);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bf_flat(&f, spin, sizeof(spin));
		bf_put(&f, h + 4 * cases[i].word, 4, cases[i].val);
		refuse(&fx, cases[i].error, cases[i].words);
		CHECK_HAS(vmm_errmsg(), "'kernel'");
	}

	/* Features that must be understood, and a video mode. */
	for (unsigned bit = 0; bit < 32; bit++) {
		uint32_t flags = 0x10000 | 1U << bit;

		bf_flat(&f, spin, sizeof(spin));
		bf_put(&f, h + 4, 4, flags);
		bf_put(&f, h + 8, 4, 0U - 0x1badb002 - flags);
		if (bit < 2 || bit >= 16)
			load(&fx, &boot_multiboot);
		else
			refuse(&fx, EINVAL, "asks for multiboot features");
	}

	/* Below 1 MiB; nothing at all; a 64-bit file; no ELF file; a header behind the first 8 KiB or not on a word. */
	bf_flat(&f, spin, sizeof(spin));
	bf_put(&f, h + 12, 8, (0xff000ULL << 32) | (0xff000 + BF_FLAT_HEADER));
	bf_put(&f, h + 20, 8, 0);
	bf_put(&f, h + 28, 4, 0xff080);
	refuse(&fx, EINVAL, "below 1 MiB");
	bf_flat(&f, spin, sizeof(spin));
	bf_put(&f, h + 20, 8, BF_FLAT_AT);
	refuse(&fx, EINVAL, "is to start at");
	bf_elf(&f, BF_MULTIBOOT | BF_WIDE, spin, sizeof(spin));
	refuse(&fx, EINVAL, "64-bit ELF");
	bf_elf(&f, BF_MULTIBOOT, spin, sizeof(spin));
	f.d[0] = 0;
	refuse(&fx, ENOEXEC, "no ELF file");
	bf_elf(&f, BF_MULTIBOOT, spin, sizeof(spin));
	bf_put(&f, offsetof(Elf32_Ehdr, e_entry), 4, 0);
	refuse(&fx, EINVAL, "is to start at");
	memset(&f, 0, sizeof(f));
	bf_put(&f, 0x2000, 8, 0x000000031badb002);
	bf_put(&f, 0x2008, 4, 0U - 0x1badb002 - 3);
	f.len = sizeof(f.d);
	refuse(&fx, ENOEXEC, "no kernel");
	memmove(f.d + 0x1ffa, f.d + 0x2000, 12);
	refuse(&fx, ENOEXEC, "no kernel");
	fx_close(&fx);
}

/* All */

static void
make(struct bf *f, unsigned kind)
{
	static const unsigned elf[] = { BF_PVH, BF_PVH | BF_WIDE, BF_MULTIBOOT };

	if (kind == 0)
		bf_linux(f, spin, sizeof(spin));
	else if (kind == 1)
		bf_flat(f, spin, sizeof(spin));
	else
		bf_elf(f, elf[kind - 2], spin, sizeof(spin));
}

#define	KINDS	5

/* Cut anywhere, every one of these files is told from a good one, in memory that ends where the file does. */
TEST(cut_off)
{
	struct fx fx;
	struct bf f;

	fx_open(&fx);
	for (unsigned kind = 0; kind < KINDS; kind++) {
		make(&f, kind);
		for (size_t len = 0; len < f.len; len++) {
			uint8_t *copy = malloc(len == 0 ? 1 : len);

			CHECK(copy != NULL);
			memcpy(copy, f.d, len);
			fx.spec.kernel = (struct boot_file){ .path = "kernel", .data = copy, .len = len, .cmdline = "" };
			CHECKF(boot_load(fx.vm, fx.vcpu, &fx.spec, NULL) == -1, "kind %u loads with %zu bytes", kind, len);
			CHECK_HAS(vmm_errmsg(), "'kernel'");
			CHECKF(errno == EINVAL || errno == ENOEXEC, "errno %d", errno);
			free(copy);
		}
	}
	fx_close(&fx);
}

TEST(command_lines)
{
	char *text = malloc(BOOT_CMDLINE_MAX + 1);
	struct fx fx;
	struct bf f;

	CHECK(text != NULL);
	for (unsigned kind = 0; kind < KINDS; kind++) {
		fx_open(&fx);
		make(&f, kind);
		fx_kernel(&fx, &f);
		fx.spec.cmdline = "";
		load(&fx, kind == 0 ? &boot_linux_amd64 : kind == 1 || kind == 4 ? &boot_multiboot : &boot_pvh);
		CHECK_EQ(mem(&fx, BOOT_CMDLINE, 1), 0);
		memset(text, 'x', BOOT_CMDLINE_MAX);
		text[BOOT_CMDLINE_MAX] = '\0';
		fx.spec.cmdline = text;
		refuse(&fx, E2BIG, "command line");
		text[kind == 0 ? BF_LINUX_CMDMAX + 1 : BOOT_CMDLINE_MAX] = '\0';
		refuse(&fx, E2BIG, "command line");
		text[kind == 0 ? BF_LINUX_CMDMAX : BOOT_CMDLINE_MAX - 1] = '\0';
		CHECKF(try_load(&fx, NULL) == 0, "%s", vmm_errmsg());
		CHECK_STR((char *)fx.mem + BOOT_CMDLINE, text);
		fx_close(&fx);
	}
	free(text);
}

/* As many modules as can be, with command lines that fill what there is for them, all apart. */
TEST(many_modules)
{
	char args[BOOT_MODARGS_MAX / BOOT_MODULES_MAX + 1], image[5000];
	uint64_t at[BOOT_MODULES_MAX];
	struct fx fx;
	struct bf f;

	memset(args, 'a', sizeof(args));
	args[sizeof(args) - 2] = '\0';
	args[sizeof(args) - 1] = '\0';
	for (unsigned pvh = 0; pvh < 2; pvh++) {
		fx_open(&fx);
		make(&f, pvh != 0 ? 2 : 4);
		fx_kernel(&fx, &f);
		memset(image, 'm', sizeof(image));
		for (unsigned i = 0; i < BOOT_MODULES_MAX; i++)
			fx_module(&fx, "m", args, image, sizeof(image));
		load(&fx, pvh != 0 ? &boot_pvh : &boot_multiboot);
		for (unsigned i = 0; i < BOOT_MODULES_MAX; i++) {
			uint64_t e = BOOT_MODLIST + i * (pvh != 0 ? 32 : 16), cmd;

			at[i] = mem(&fx, e, 4);
			cmd = pvh != 0 ? mem(&fx, e + 16, 8) : mem(&fx, e + 8, 4);
			CHECK_EQ(at[i] & 0xfff, 0);
			CHECK(at[i] >= BF_ELF_AT + BF_ELF_MEMSZ && at[i] + sizeof(image) <= RAM_END);
			CHECK(memcmp(fx.mem + at[i], image, sizeof(image)) == 0);
			CHECK(cmd >= BOOT_MODARGS && cmd + sizeof(args) - 1 <= BOOT_MODARGS + BOOT_MODARGS_MAX);
			CHECK_STR((char *)fx.mem + cmd, args);
			for (unsigned j = 0; j < i; j++)
				CHECK(at[i] + sizeof(image) <= at[j] || at[j] + sizeof(image) <= at[i]);
		}
		fx.spec.modules[3].cmdline = "aa";
		load(&fx, pvh != 0 ? &boot_pvh : &boot_multiboot);
		args[sizeof(args) - 2] = 'a';
		fx.spec.modules[3].cmdline = args;
		refuse(&fx, E2BIG, "command lines of the modules");
		args[sizeof(args) - 2] = '\0';
		fx.spec.modules[7].len = RAM_END;
		refuse(&fx, ENOMEM, "give it more memory");
		fx_close(&fx);
	}
}

/* A VM so small that nothing fits. */
TEST(no_memory)
{
	struct fx fx;
	struct bf f;

	fx_open(&fx);
	fx_kernel(&fx, &f);
	fx.spec.nmap = 2;
	for (unsigned kind = 0; kind < KINDS; kind++) {
		make(&f, kind);
		refuse(&fx, ENOMEM, "give it more memory");
	}
	/* A map that says more than the VM has. */
	fx.spec.nmap = 3;
	fx.spec.map[2].len = 1ULL << 40;
	make(&f, 0);
	bf_put(&f, 0x258, 8, 0x80000000);
	bf_put(&f, 0x234, 1, 0);
	refuse(&fx, ENOMEM, "give it more memory");
	make(&f, 0);
	fx_module(&fx, "initrd", "", initrd_text, sizeof(initrd_text));
	refuse(&fx, ENOMEM, "the initrd");
	fx_close(&fx);
}

TEST(files)
{
	char path[] = "/tmp/hyve-boot-XXXXXX";
	int fd = mkstemp(path);
	struct boot_file file;

	CHECK(fd >= 0);
	CHECK_EQ(boot_read_file(path, &file), -1);
	CHECK_HAS(vmm_errmsg(), "not a file with something in it");
	CHECK_EQ(write(fd, "kernel", 6), 6);
	CHECKF(boot_read_file(path, &file) == 0, "%s", vmm_errmsg());
	CHECK_EQ(file.len, 6);
	CHECK(memcmp(file.data, "kernel", 6) == 0);
	CHECK_STR(file.cmdline, "");
	CHECK_STR(file.path, path);
	free((void *)(uintptr_t)file.data);
	CHECK_EQ(ftruncate(fd, (2LL << 30) + 1), 0);
	CHECK_EQ(boot_read_file(path, &file), -1);
	CHECK_EQ(errno, EFBIG);
	CHECK_HAS(vmm_errmsg(), "more than 2 GiB");
	close(fd);
	unlink(path);
	CHECK_EQ(boot_read_file(path, &file), -1);
	CHECK_HAS(vmm_errmsg(), "No such file");
	CHECK_HAS(vmm_errmsg(), path);
	CHECK_EQ(boot_read_file("/tmp", &file), -1);
	CHECK_HAS(vmm_errmsg(), "'/tmp' is not a file");
	CHECK_EQ(boot_read_file("/dev/null", &file), -1);
}

TEST_MAIN()
