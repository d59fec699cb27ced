/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * loader_test.c - what a loader left behind is found by another process, and is alive.
 *
 * The loader is a program of its own (loader.c), named by LOADER; it runs as it would in real life:
 * a named VM in a run directory, privileges dropped in the middle, and an exit without a word.
 */
#include <sys/stat.h>

#include <vmmapi.h>
#include <vmmapi/amd64.h>

#include "loader.h"
#include "test.h"

TEST_MAIN()

static char rundir[64];

__attribute__((constructor)) static void
setup(void)
{
	snprintf(rundir, sizeof(rundir), "/tmp/hyve-loader.XXXXXX");
	if (mkdtemp(rundir) == NULL)
		_exit(1);
	setenv("HYVE_RUNDIR", rundir, 1);
}

__attribute__((destructor)) static void
cleanup(void)
{
	char cmd[128];

	/* each case that succeeds does this too; the library makes the directory again */
	snprintf(cmd, sizeof(cmd), "rm -rf -- %s", rundir);
	if (system(cmd) != 0)
		fprintf(stderr, "%s stays\n", rundir);
}

/* Run the loader and wait for its end. */
static void
load(const char *name, const char *bits, const char *size, const char *pattern, bool wired)
{
	const char *loader = getenv("LOADER");
	int status;
	pid_t pid;

	if (loader == NULL)
		SKIP("LOADER does not name the loader");
	fflush(NULL);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		if (wired)
			execl(loader, loader, "-S", "-b", bits, "-m", size, "-p", pattern, name, (char *)NULL);
		else
			execl(loader, loader, "-b", bits, "-m", size, "-p", pattern, name, (char *)NULL);
		_exit(127);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECKF(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the loader ended with status 0x%x", status);
}

static struct vmctx *
open_vm(const char *name)
{
	struct vmctx *ctx = vm_open(name);

	CHECKF(ctx != NULL, "%s", vm_errmsg());
	return (ctx);
}

static uint64_t
reg(struct vcpu *vcpu, int num)
{
	uint64_t val = 0;

	CHECKF(vm_get_register(vcpu, num, &val) == 0, "register 0x%x: %s", num, vm_errmsg());
	return (val);
}

static void
check_desc(struct vcpu *vcpu, int num, uint64_t base, uint32_t limit, uint32_t access)
{
	uint64_t b;
	uint32_t l, a;

	CHECKF(vm_get_desc(vcpu, num, &b, &l, &a) == 0, "%s", vm_errmsg());
	CHECK_EQ(b, base);
	CHECK_EQ(l, limit);
	CHECK_EQ(a, access);
}

/* The pattern is where the loader put it: near the start, and in the last bytes of low and high RAM. */
static void
check_memory(struct vmctx *ctx, uint32_t pattern, size_t size)
{
	size_t low = vm_get_lowmem_size(ctx), high = vm_get_highmem_size(ctx);
	uint32_t val;

	CHECK_EQ(low + high, size);
	CHECK_EQ(vm_gpa_read(ctx, LOADER_MARK, &val, 4), 0);
	CHECK_EQ(val, pattern);
	CHECK_EQ(vm_gpa_read(ctx, low - 4, &val, 4), 0);
	CHECK_EQ(val, pattern);
	if (high != 0) {
		CHECK_EQ(vm_gpa_read(ctx, vm_get_highmem_base(ctx) + high - 4, &val, 4), 0);
		CHECK_EQ(val, pattern);
	}
	/* a page in between was never written */
	CHECK_EQ(vm_gpa_read(ctx, low / 2, &val, 4), 0);
	CHECK_EQ(val, 0);
}

static void
check_common(struct vcpu *vcpu, uint32_t pattern)
{
	int val = 0;

	CHECK_EQ(reg(vcpu, VM_AMD64_REG_RIP), LOADER_CODE);
	CHECK_EQ(reg(vcpu, VM_AMD64_REG_RSP), LOADER_STACK);
	CHECK_EQ(reg(vcpu, VM_AMD64_REG_RAX), LOADER_RAX);
	CHECK_EQ(reg(vcpu, VM_AMD64_REG_RBX), pattern);
	CHECK_EQ(reg(vcpu, VM_AMD64_REG_RCX), 0xc1);
	CHECK_EQ(reg(vcpu, VM_AMD64_REG_RDX), 0xd0);
	CHECK_EQ(reg(vcpu, VM_AMD64_REG_RSI), 0x51);
	CHECK_EQ(reg(vcpu, VM_AMD64_REG_RFLAGS), 2);
	CHECK_EQ(vm_get_capability(vcpu, VM_CAP_UNRESTRICTED_GUEST, &val), 0);
	CHECK_EQ(val, 1);
}

/* Run it: the guest's two writes of port 0x80 arrive with the loader's pattern. */
static void
check_alive(struct vcpu *vcpu, uint32_t pattern)
{
	struct vm_exit exit;
	uint64_t seen[2] = { 0, 0 };

	for (unsigned n = 0; n < 2; n++) {
		CHECKF(vm_run(vcpu, &exit) == 0, "%s", vm_errmsg());
		CHECKF(exit.code == VM_EXIT_IO, "exit %d at 0x%llx on %s: %s", exit.code, (unsigned long long)exit.pc,
		    vm_accel_name(vm_vcpu_ctx(vcpu)), vm_errmsg());
		CHECK(exit.u.io.write);
		CHECK_EQ(exit.u.io.port, 0x80);
		CHECK_EQ(exit.u.io.size, n == 0 ? 4 : 1);
		seen[n] = exit.u.io.data;
	}
	CHECK_EQ(seen[0], pattern);
	CHECK_EQ(seen[1] & 0xff, 'h');
	CHECK_EQ(reg(vcpu, VM_AMD64_REG_RAX) & 0xff, 'h');
	printf("# ran on %s (%s)\n", vm_accel_name(vm_vcpu_ctx(vcpu)), vm_accel_reason(vm_vcpu_ctx(vcpu)));
}

TEST(boot_32_bit)
{
	struct vmctx *ctx;
	struct vcpu *vcpu;

	load("guest32", "32", "64M", "0x12345678", false);
	ctx = open_vm("guest32");
	CHECK_EQ(vm_get_arch(ctx), VM_ARCH_AMD64);
	CHECK_EQ(vm_get_memflags(ctx), 0);
	check_memory(ctx, 0x12345678, 64UL << 20);
	vcpu = vm_vcpu_open(ctx, 0);
	CHECKF(vcpu != NULL, "%s", vm_errmsg());
	check_common(vcpu, 0x12345678);
	CHECK_EQ(reg(vcpu, VM_AMD64_REG_CR0) & 0x80000001, 1);
	CHECK_EQ(reg(vcpu, VM_AMD64_REG_CR4), 0);
	CHECK_EQ(reg(vcpu, VM_AMD64_REG_RDI), 0xd1);
	CHECK_EQ(reg(vcpu, VM_AMD64_REG_RBP), 0);
	CHECK_EQ(reg(vcpu, VM_AMD64_REG_CS), 0x10);
	CHECK_EQ(reg(vcpu, VM_AMD64_REG_SS), 0x18);
	CHECK_EQ(reg(vcpu, VM_AMD64_REG_TR), 0x20);
	CHECK_EQ(reg(vcpu, VM_AMD64_REG_LDTR), 0);
	check_desc(vcpu, VM_AMD64_REG_CS, 0, 0xffffffff, 0xc09b);
	for (int i = VM_AMD64_REG_ES; i <= VM_AMD64_REG_GS; i++) {
		if (i != VM_AMD64_REG_CS)
			check_desc(vcpu, i, 0, 0xffffffff, 0xc093);
	}
	check_desc(vcpu, VM_AMD64_REG_TR, 0, 0x1000, 0x8b);
	check_desc(vcpu, VM_AMD64_REG_LDTR, 0, 0xffff, 0x10082);
	check_desc(vcpu, VM_AMD64_REG_GDTR, LOADER_GDT, 39, 0);
	check_alive(vcpu, 0x12345678);
	vm_destroy(ctx);
}

TEST(boot_64_bit)
{
	struct vmctx *ctx;
	struct vcpu *vcpu;
	vm_paddr_t gpa;
	int fault;

	load("guest64", "64", "64M", "0xcafe", false);
	ctx = open_vm("guest64");
	check_memory(ctx, 0xcafe, 64UL << 20);
	vcpu = vm_vcpu_open(ctx, 0);
	CHECKF(vcpu != NULL, "%s", vm_errmsg());
	check_common(vcpu, 0xcafe);
	CHECK_EQ(reg(vcpu, VM_AMD64_REG_CR3), LOADER_PT);
	CHECK_EQ(reg(vcpu, VM_AMD64_REG_CR0) & 0x80000001, 0x80000001);
	CHECK_EQ(reg(vcpu, VM_AMD64_REG_EFER) & 0x500, 0x500);
	check_desc(vcpu, VM_AMD64_REG_GDTR, LOADER_GDT, 23, 0);
	CHECK_EQ(vm_gva2gpa(vcpu, LOADER_CODE, VM_PROT_READ, &gpa, &fault), 0);
	CHECK_EQ(fault, 0);
	CHECK_EQ(gpa, LOADER_CODE);
	check_alive(vcpu, 0xcafe);
	vm_destroy(ctx);
}

TEST(more_ram_than_fits_below_4_gib)
{
	struct vmctx *ctx;

	load("large", "32", "3G", "7", false);
	ctx = open_vm("large");
	CHECK_EQ(vm_get_lowmem_limit(ctx), 0xb0000000);
	CHECK_EQ(vm_get_lowmem_size(ctx), 0xb0000000);
	CHECK_EQ(vm_get_highmem_base(ctx), 0x100000000ULL);
	check_memory(ctx, 7, 3UL << 30);
	vm_destroy(ctx);
}

TEST(wired_memory)
{
	struct vmctx *ctx;

	if (geteuid() != 0)
		SKIP("wired memory is tested as root");
	load("wired", "32", "16M", "1", true);
	ctx = open_vm("wired");
	CHECK_EQ(vm_get_memflags(ctx), VM_MEM_F_WIRED);
	check_memory(ctx, 1, 16UL << 20);
	vm_destroy(ctx);
}

TEST(loading_again_starts_afresh)
{
	struct vmctx *ctx;
	struct vcpu *vcpu;
	uint64_t val = 0;

	load("again", "64", "32M", "1", false);
	/* someone uses it, and leaves it in disorder */
	ctx = open_vm("again");
	vcpu = vm_vcpu_open(ctx, 0);
	CHECK(vcpu != NULL);
	CHECK_EQ(vm_set_register(vcpu, VM_AMD64_REG_R15, 4711), 0);
	CHECK_EQ(vm_set_register(vcpu, VM_AMD64_REG_RBP, 4711), 0);
	CHECK_EQ(vm_gpa_write(ctx, 16UL << 20, "dirt", 5), 0);
	CHECK_EQ(vm_suspend(ctx, VM_SUSPEND_POWEROFF), 0);
	vm_close(ctx);
	load("again", "32", "48M", "2", false);
	ctx = open_vm("again");
	check_memory(ctx, 2, 48UL << 20);
	CHECK_EQ(vm_gpa_read(ctx, 16UL << 20, &val, 8), 0);
	CHECK_EQ(val, 0);
	vcpu = vm_vcpu_open(ctx, 0);
	CHECK(vcpu != NULL);
	check_common(vcpu, 2);
	CHECK_EQ(reg(vcpu, VM_AMD64_REG_R15), 0);
	CHECK_EQ(reg(vcpu, VM_AMD64_REG_CR0) & 0x80000000, 0);
	CHECK_EQ(reg(vcpu, VM_AMD64_REG_EFER), 0);
	check_alive(vcpu, 2);
	vm_destroy(ctx);
}

TEST(the_loader_does_not_own_it)
{
	struct vmctx *ctx, *again;
	struct stat st;
	char path[256];

	load("kept", "32", "16M", "9", false);
	snprintf(path, sizeof(path), "%s/kept", rundir);
	CHECK_EQ(stat(path, &st), 0);
	CHECK_EQ(st.st_mode & 077, 0);
	/* its lock went with it; ours excludes others until the close */
	ctx = open_vm("kept");
	again = vm_open("kept");
	CHECK(again == NULL);
	CHECK_EQ(errno, EBUSY);
	CHECK_HAS(vm_errmsg(), "kept");
	vm_close(ctx);
	ctx = open_vm("kept");
	check_memory(ctx, 9, 16UL << 20);
	vm_destroy(ctx);
	CHECK(vm_open("kept") == NULL);
	CHECK_EQ(errno, ENOENT);
	CHECK_EQ(stat(path, &st), -1);
}
