/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kvm_faults.c - what the kvm back end does when the kernel refuses, and when KVM_RUN returns with what no guest of ours could cause.
 *
 * The linker puts the functions below between the back end and the kernel.  While a test has armed them they count calls, and the one that it
 * chose fails; or a KVM_RUN does not run and fills the run page as the test wants it.
 */
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <time.h>

#include <vmmapi/amd64.h>

#include "kvm/kvm.h"
#include "test.h"

#define	RAM	(4UL << 20)
#define	CODE	0x1000
#define	PORT	0x80
#define	DEV	(VM_SYSMEM + VM_MAXSYSMEM)	/* a segment that is no RAM's */

/* SECTION: between the back end and the kernel */

static struct {
	pthread_t	 thread;		/* calls of others are let through */
	bool		 any_thread;
	bool		 on;
	unsigned	 calls;			/* that counted */
	unsigned	 at, times;		/* fail calls at to at + times - 1, counting from 1 */
	int		 error;
	unsigned long	 req;			/* count this ioctl only; 0: any, and allocations, mappings, files */
	bool		 slow;			/* count those alone that can be interrupted */
	int		 slots;			/* what the kernel says of its slots; 0: the truth */
	int		 msrs;			/* so many registers of KVM_SET_MSRS are taken; -1: all */
	int64_t		 poll;			/* what KVM_CAP_HALT_POLL was set to, -1 */
	int		 runs;			/* so many KVM_RUNs return at once ... */
	int		 run_error;		/* ... with this, or as made() has it */
	void		(*made)(struct kvm_run *run);
	struct kvm_run	*run;
} k = { .msrs = -1, .poll = -1 };

/* What decides over a call: threads of the library call, too. */
static pthread_mutex_t k_lock = PTHREAD_MUTEX_INITIALIZER;

static void
arm(unsigned at, unsigned times, int error, unsigned long req)
{
	pthread_mutex_lock(&k_lock);
	k.thread = pthread_self();
	k.calls = 0;
	k.at = at;
	k.times = times;
	k.error = error;
	k.req = req;
	k.on = true;
	pthread_mutex_unlock(&k_lock);
}

static void
disarm(void)
{
	pthread_mutex_lock(&k_lock);
	k.on = k.any_thread = k.slow = false;
	pthread_mutex_unlock(&k_lock);
}

/* A call that counts: does it fail?  The lock is held. */
static bool
counted_fails(void)
{
	if (!k.on || (!k.any_thread && !pthread_equal(k.thread, pthread_self())))
		return (false);
	k.calls++;
	if (k.calls < k.at || k.calls - k.at >= k.times)
		return (false);
	errno = k.error;
	return (true);
}

static bool
is_slow(unsigned long req)
{
	return (req != KVM_CHECK_EXTENSION && req != KVM_GET_API_VERSION && req != KVM_GET_VCPU_MMAP_SIZE && req != KVM_GET_TSC_KHZ);
}

/* Does this ioctl fail, or with 0 a call of another kind? */
static bool
fails(unsigned long req)
{
	bool counts, yes;

	pthread_mutex_lock(&k_lock);
	if (req == 0 || k.req == 0)
		counts = k.req == 0 && (!k.slow || (req != 0 && is_slow(req)));
	else
		counts = k.req == req;
	yes = counts && counted_fails();
	pthread_mutex_unlock(&k_lock);
	return (yes);
}

int	__real_ioctl(int fd, unsigned long req, ...);
int	__wrap_ioctl(int fd, unsigned long req, void *arg);
int	__real_open64(const char *path, int flags, ...);
int	__wrap_open64(const char *path, int flags, mode_t mode);
void	*__real_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t off);
void	*__wrap_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t off);
void	*__real_malloc(size_t len);
void	*__wrap_malloc(size_t len);
void	*__real_calloc(size_t n, size_t len);
void	*__wrap_calloc(size_t n, size_t len);
void	*__real_realloc(void *old, size_t len);
void	*__wrap_realloc(void *old, size_t len);

int
__wrap_ioctl(int fd, unsigned long req, void *arg)
{
	if (fails(req))
		return (-1);
	if (req == KVM_CHECK_EXTENSION && (uintptr_t)arg == KVM_CAP_NR_MEMSLOTS && k.slots != 0)
		return (k.slots);
	if (req == KVM_ENABLE_CAP && ((struct kvm_enable_cap *)arg)->cap == KVM_CAP_HALT_POLL)
		k.poll = (int64_t)((struct kvm_enable_cap *)arg)->args[0];
	if (req == KVM_SET_MSRS && k.msrs >= 0) {
		((struct kvm_msrs *)arg)->nmsrs = (uint32_t)k.msrs;
		k.msrs = -1;
		return (__real_ioctl(fd, req, arg));
	}
	if (req == KVM_RUN && k.runs > 0) {
		k.runs--;
		if (k.made != NULL) {
			k.made(k.run);
			return (0);
		}
		errno = k.run_error;
		return (-1);
	}
	return (__real_ioctl(fd, req, arg));
}

int
__wrap_open64(const char *path, int flags, mode_t mode)
{
	return (fails(0) ? -1 : __real_open64(path, flags, mode));
}

void *
__wrap_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	return (fails(0) ? MAP_FAILED : __real_mmap64(addr, len, prot, flags, fd, off));
}

void *
__wrap_malloc(size_t len)
{
	return (fails(0) ? NULL : __real_malloc(len));
}

void *
__wrap_calloc(size_t n, size_t len)
{
	return (fails(0) ? NULL : __real_calloc(n, len));
}

void *
__wrap_realloc(void *old, size_t len)
{
	return (fails(0) ? NULL : __real_realloc(old, len));
}

/* SECTION: guests */

/* mov al, 55h; out 80h, al; hlt */
static const uint8_t tell[] = { 0xb0, 0x55, 0xe6, PORT, 0xf4 };
/* jmp $ */
static const uint8_t spin[] = { 0xeb, 0xfe };
/* mov [4000h], al; mov [6000h], al; out 80h, al; jmp back */
static const uint8_t store[] = { 0xa2, 0x00, 0x40, 0xa2, 0x00, 0x60, 0xe6, PORT, 0xeb, 0xf6 };

static void
need(void)
{
	if (vm_accel_probe(VM_ACCEL_KVM, VM_ARCH_AMD64) != 0)
		SKIP(vm_errmsg());
}

static struct vmctx *
guest(const uint8_t *code, size_t len)
{
	const struct vm_spec spec = { .size = sizeof(spec), .arch = VM_ARCH_AMD64, .accel = VM_ACCEL_KVM };
	struct vmctx *vm = vm_new(&spec);
	struct vcpu *cpu;

	CHECKF(vm != NULL, "%s", vm_errmsg());
	CHECKF(vm_setup_memory(vm, RAM, VM_MMAP_ALL) == 0, "%s", vm_errmsg());
	cpu = vm_vcpu_open(vm, 0);
	CHECKF(cpu != NULL, "%s", vm_errmsg());
	CHECK_EQ(vm_set_desc(cpu, VM_AMD64_REG_CS, 0, 0xffff, 0x9b), 0);
	CHECK_EQ(vm_set_register(cpu, VM_AMD64_REG_CS, 0), 0);
	CHECK_EQ(vm_set_register(cpu, VM_AMD64_REG_RIP, CODE), 0);
	CHECK_EQ(vm_gpa_write(vm, CODE, code, len), 0);
	return (vm);
}

static struct vcpu *
cpu0(struct vmctx *vm)
{
	return (vm->vcpus[0]);
}

/* Run to the output of a byte. */
static void
runs_to(struct vmctx *vm, uint8_t byte)
{
	struct vm_exit ex;

	CHECKF(vm_run(cpu0(vm), &ex) == 0, "%s", vm_errmsg());
	CHECKF(ex.code == VM_EXIT_IO && ex.u.io.write && ex.u.io.port == PORT && ex.u.io.data == byte, "exit %d, %s", ex.code, vm_errmsg());
}

static unsigned
open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	CHECK(d != NULL);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return (n);
}

/* SECTION: a VM is made */

/* Whatever it is that fails, the VM starts later as if nothing had been. */
static void
start_failing(int error, bool slow, bool must_start)
{
	unsigned n, started = 0, refused = 0, files;
	struct vmctx *vm;
	bool more = true;
	int r;

	vm_close(guest(tell, sizeof(tell)));
	files = open_files();
	for (n = 1; more; n++) {
		vm = guest(tell, sizeof(tell));
		k.slow = slow;
		arm(n, must_start ? 3 : 1, error, 0);
		r = vm_start(vm);
		more = k.calls >= n;
		disarm();
		if (r != 0) {
			CHECKF(!must_start, "call %u: %s", n, vm_errmsg());
			CHECK(vm_errmsg()[0] != '\0');
			CHECK(vm->accel == NULL && vm->accel_vm == NULL && cpu0(vm)->accel_cpu == NULL);
			CHECKF(vm_start(vm) == 0, "call %u: %s", n, vm_errmsg());
			refused++;
		} else
			started++;
		runs_to(vm, 0x55);
		vm_close(vm);
		CHECKF(open_files() == files, "call %u: %u files were open before, %u now", n, files, open_files());
	}
	printf("# %u calls: %u starts refused\n", n - 1, refused);
	CHECK(n > 20 && started > 0 && (must_start || refused > 15));
}

TEST(start_without_memory)
{
	need();
	start_failing(ENOMEM, false, false);
}

TEST(start_interrupted)
{
	need();
	start_failing(EINTR, true, true);
}

TEST(slots_are_used_up)
{
	struct vmctx *vm;
	int error;

	need();
	vm = guest(tell, sizeof(tell));
	for (int i = 0; i < 3; i++)
		CHECK(vm_create_devmem(vm, DEV + i, "dev", VM_PAGE_SIZE) != MAP_FAILED);
	k.slots = 3;
	CHECKF(vm_start(vm) == 0, "%s", vm_errmsg());
	CHECK_EQ(vm_mmap_memseg(vm, 0xd0000000, DEV, 0, VM_PAGE_SIZE, VM_PROT_ALL), 0);
	CHECK_EQ(vm_mmap_memseg(vm, 0xd0010000, DEV + 1, 0, VM_PAGE_SIZE, VM_PROT_ALL), 0);
	error = vm_mmap_memseg(vm, 0xd0020000, DEV + 2, 0, VM_PAGE_SIZE, VM_PROT_ALL);
	CHECK(error == -1 && errno == ENOSPC);
	CHECKF(strstr(vm_errmsg(), "kvm has 3 memory slots") != NULL && strstr(vm_errmsg(), "0xd0020000") != NULL, "%s", vm_errmsg());
	/* One that is free again is used. */
	CHECK_EQ(vm_munmap_memseg(vm, 0xd0000000, VM_PAGE_SIZE), 0);
	CHECKF(vm_mmap_memseg(vm, 0xd0020000, DEV + 2, 0, VM_PAGE_SIZE, VM_PROT_ALL) == 0, "%s", vm_errmsg());
	runs_to(vm, 0x55);
	vm_close(vm);
}

static struct vmctx *
polling(uint32_t ns)
{
	const struct vm_spec spec = { .size = sizeof(spec), .accel = VM_ACCEL_KVM, .halt_poll = true, .halt_poll_ns = ns };
	struct vmctx *vm = vm_new(&spec);

	CHECKF(vm != NULL && vm_setup_memory(vm, RAM, VM_MMAP_ALL) == 0 && vm_vcpu_open(vm, 0) != NULL, "%s", vm_errmsg());
	return (vm);
}

TEST(halt_polling)
{
	struct vmctx *vm;

	need();
	vm = guest(tell, sizeof(tell));
	CHECKF(vm_start(vm) == 0, "%s", vm_errmsg());
	CHECK_EQ(k.poll, -1);			/* as the host has it */
	vm_close(vm);
	for (uint32_t ns = 0; ns <= 5000; ns += 5000) {
		vm = polling(ns);
		if (vm_start(vm) != 0)
			SKIP(vm_errmsg());
		CHECK_EQ(k.poll, ns);
		vm_close(vm);
	}
	vm = polling(1);
	k.slow = true;
	arm(2, 1, EINVAL, 0);			/* KVM_CREATE_VM is the first */
	while (vm_start(vm) == 0) {
		vm_close(vm);
		vm = polling(1);
		k.at++;
		k.calls = 0;
	}
	disarm();
	CHECKF(strstr(vm_errmsg(), "how long the kernel polls for a vCPU that waits cannot be set") != NULL, "%s", vm_errmsg());
	vm_close(vm);
}

/* SECTION: state */

TEST(register_refused)
{
	struct vmctx *vm;
	struct vm_exit ex;

	need();
	vm = guest(tell, sizeof(tell));
	k.msrs = 4;
	CHECK(vm_run(cpu0(vm), &ex) == -1 && errno == ENOTSUP);
	CHECKF(strstr(vm_errmsg(), "model-specific register 0xc0000102 (IA32_KERNEL_GS_BASE)") != NULL, "%s", vm_errmsg());
	runs_to(vm, 0x55);
	vm_close(vm);
}

/* Each call of reading the state fails once: the caller is told, and the next one has it. */
TEST(state_is_not_given)
{
	struct vmctx *vm;
	unsigned n, refused = 0;
	bool more = true;
	uint64_t val;
	int r;

	need();
	vm = guest(store, sizeof(store));
	CHECK_EQ(vm_set_register(cpu0(vm), VM_AMD64_REG_RAX, 0x1234), 0);
	for (n = 1; more; n++) {
		runs_to(vm, 0x34);
		arm(n, 1, EIO, 0);
		r = vm_get_register(cpu0(vm), VM_AMD64_REG_RAX, &val);
		more = k.calls >= n;
		disarm();
		if (r != 0) {
			CHECKF(strstr(vm_errmsg(), "vcpu 0: kvm") != NULL, "%s", vm_errmsg());
			refused++;
			CHECKF(vm_get_register(cpu0(vm), VM_AMD64_REG_RAX, &val) == 0, "%s", vm_errmsg());
		}
		CHECK_EQ(val, 0x1234);
	}
	CHECK(refused > 6);
	vm_close(vm);
}

TEST(state_is_not_taken)
{
	struct vmctx *vm;
	struct vm_exit ex;
	unsigned n, refused = 0;
	bool more = true;
	int r;

	need();
	vm = guest(store, sizeof(store));
	CHECKF(vm_start(vm) == 0, "%s", vm_errmsg());
	for (n = 1; more; n++) {
		uint8_t val = (uint8_t)(n * 7);

		CHECKF(vm_set_register(cpu0(vm), VM_AMD64_REG_RAX, val) == 0, "%s", vm_errmsg());
		arm(n, 1, EIO, 0);
		r = vm_run(cpu0(vm), &ex);
		more = k.calls >= n;
		disarm();
		if (r != 0) {
			CHECKF(strstr(vm_errmsg(), "vcpu 0: kvm") != NULL, "%s", vm_errmsg());
			refused++;
			runs_to(vm, val);
		} else if (ex.code == VM_EXIT_ERROR) {
			CHECKF(strstr(vm_errmsg(), "vcpu 0: kvm cannot run it") != NULL, "%s", vm_errmsg());
			runs_to(vm, val);
		} else
			CHECK(ex.code == VM_EXIT_IO && ex.u.io.data == val);
	}
	CHECK(refused > 5);
	vm_close(vm);
}

/* A vCPU is not reset by halves: it runs when its local APIC is as at power-on, too. */
TEST(reset_refused)
{
	struct vmctx *vm;
	struct vm_exit ex;

	need();
	vm = guest(tell, sizeof(tell));
	runs_to(vm, 0x55);
	CHECKF(vm_pause(vm) == 0 && vm_reset(vm) == 0 && vm_resume(vm) == 0, "%s", vm_errmsg());
	CHECK_EQ(vm_set_desc(cpu0(vm), VM_AMD64_REG_CS, 0, 0xffff, 0x9b), 0);
	CHECK_EQ(vm_set_register(cpu0(vm), VM_AMD64_REG_RIP, CODE), 0);
	arm(1, 1, EINVAL, KVM_SET_LAPIC);
	CHECK(vm_run(cpu0(vm), &ex) == -1 && errno == EINVAL);
	CHECK_EQ(k.calls, 1);
	disarm();
	CHECKF(strstr(vm_errmsg(), "vcpu 0: kvm does not reset its local APIC") != NULL, "%s", vm_errmsg());
	runs_to(vm, 0x55);
	vm_close(vm);
}

/* SECTION: KVM_RUN */

TEST(signals_without_end)
{
	struct vmctx *vm;

	need();
	vm = guest(tell, sizeof(tell));
	k.run_error = EINTR;
	k.runs = 20000;
	runs_to(vm, 0x55);
	CHECK_EQ(k.runs, 0);
	k.run_error = EAGAIN;
	k.runs = 20000;
	CHECK_EQ(vm_set_register(cpu0(vm), VM_AMD64_REG_RIP, CODE), 0);
	runs_to(vm, 0x55);
	vm_close(vm);
}

static void *
kicker(void *arg)
{
	const struct timespec ts = { .tv_nsec = 20000000 };

	nanosleep(&ts, NULL);
	CHECK_EQ(vm_vcpu_kick(arg), 0);
	return (NULL);
}

TEST(exits_are_counted)
{
	const uint64_t *stats;
	struct vmctx *vm;
	int n;

	need();
	vm = guest(store, sizeof(store));
	runs_to(vm, 0);
	k.run_error = EINTR;
	k.runs = 7;
	for (int i = 0; i < 4; i++)
		runs_to(vm, 0);
	stats = vm_get_stats(cpu0(vm), &n);
	CHECK(stats != NULL && n == VM_STAT_LAST);
	CHECK_EQ(stats[VM_STAT_KVM_IO], 5);
	CHECK_EQ(stats[VM_STAT_KVM_SIGNALS], 7);
	CHECK_EQ(stats[VM_STAT_KVM_RUNS], 12);
	CHECK_EQ(stats[VM_STAT_KVM_MMIO] + stats[VM_STAT_KVM_SYSREG] + stats[VM_STAT_KVM_RING] + stats[VM_STAT_KVM_OTHER], 0);
	for (int i = 0; i < n; i++)
		CHECK(vm_get_stat_desc(vm, i) != NULL);
	vm_close(vm);
}

/* A vCPU that never gets into its guest is stopped all the same. */
TEST(kick_in_a_storm)
{
	struct vmctx *vm;
	struct vm_exit ex;
	pthread_t thread;

	need();
	vm = guest(spin, sizeof(spin));
	k.run_error = EINTR;
	k.runs = INT32_MAX;
	CHECK_EQ(pthread_create(&thread, NULL, kicker, cpu0(vm)), 0);
	CHECKF(vm_run(cpu0(vm), &ex) == 0, "%s", vm_errmsg());
	CHECK_EQ(ex.code, VM_EXIT_KICKED);
	pthread_join(thread, NULL);
	k.runs = 0;
	/* And one that is in it. */
	CHECK_EQ(pthread_create(&thread, NULL, kicker, cpu0(vm)), 0);
	CHECKF(vm_run(cpu0(vm), &ex) == 0, "%s", vm_errmsg());
	CHECK_EQ(ex.code, VM_EXIT_KICKED);
	pthread_join(thread, NULL);
	vm_close(vm);
}

/* KVM_RUN returns with what made() says: the vCPU ends with an error of this sentence, detail and place, and its state can be read. */
static void
ends_with(struct vmctx *vm, void (*made)(struct kvm_run *), const char *text, uint64_t detail)
{
	struct vm_exit ex;
	char regs[512];

	k.made = made;
	k.run = kvm_cpu(cpu0(vm))->run;
	k.runs = 1;
	CHECKF(vm_run(cpu0(vm), &ex) == 0, "%s", vm_errmsg());
	k.made = NULL;
	CHECK_EQ(ex.code, VM_EXIT_ERROR);
	CHECK_EQ(ex.pc, CODE);
	CHECK_EQ(ex.u.error.detail, detail);
	CHECKF(strncmp(vm_errmsg(), "vcpu 0: kvm: ", 13) == 0 && strstr(vm_errmsg(), text) != NULL, "'%s' has no '%s'", vm_errmsg(), text);
	CHECKF(vm_vcpu_describe(cpu0(vm), regs, sizeof(regs)) == 0, "%s", vm_errmsg());
	CHECKF(strncmp(regs, "rip=0x1000 cs=0x0 ", 18) == 0, "%s", regs);
}

static void
emulation(struct kvm_run *run)
{
	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
	run->emulation_failure.ndata = 4;
	run->emulation_failure.flags = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
	run->emulation_failure.insn_size = 15;
	memset(run->emulation_failure.insn_bytes, 0x9b, sizeof(run->emulation_failure.insn_bytes));
}

/* More bytes than there are. */
static void
emulation_much(struct kvm_run *run)
{
	emulation(run);
	run->emulation_failure.insn_size = 255;
}

static void
internal(struct kvm_run *run, uint32_t suberror)
{
	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->internal.suberror = suberror;
	run->internal.ndata = 1;
	run->internal.data[0] = 0xabc;
}

static void
simultaneous(struct kvm_run *run)
{
	internal(run, KVM_INTERNAL_ERROR_SIMUL_EX);
}

static void
delivery(struct kvm_run *run)
{
	internal(run, KVM_INTERNAL_ERROR_DELIVERY_EV);
}

static void
unexpected(struct kvm_run *run)
{
	internal(run, KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON);
}

static void
later(struct kvm_run *run)
{
	internal(run, 77);
}

static void
fail_entry(struct kvm_run *run)
{
	run->exit_reason = KVM_EXIT_FAIL_ENTRY;
	run->fail_entry.hardware_entry_failure_reason = 0x80000021;
}

static void
unknown_to_kernel(struct kvm_run *run)
{
	run->exit_reason = KVM_EXIT_UNKNOWN;
	run->hw.hardware_exit_reason = 0x1234;
}

static void
unknown_to_us(struct kvm_run *run)
{
	run->exit_reason = 4000;
}

TEST(exits_that_end_a_vcpu)
{
	struct vmctx *vm;

	need();
	vm = guest(tell, sizeof(tell));
	CHECKF(vm_start(vm) == 0, "%s", vm_errmsg());
	ends_with(vm, emulation, "cannot emulate an instruction (suberror 1) at 0x1000, instruction bytes 9b 9b", 1);
	ends_with(vm, emulation_much, "cannot emulate an instruction (suberror 1) at 0x1000", 1);
	CHECK(strstr(vm_errmsg(), "bytes") == NULL);
	ends_with(vm, simultaneous, "exceptions came at once that cannot (suberror 2) at 0x1000, data 0xabc", 2);
	ends_with(vm, delivery, "in the middle of an exception or interrupt (suberror 3) at 0x1000", 3);
	ends_with(vm, unexpected, "for a reason that the kernel does not expect (suberror 4) at 0x1000", 4);
	ends_with(vm, later, "internal error of the kernel's KVM (suberror 77) at 0x1000", 77);
	ends_with(vm, fail_entry, "refuses to enter the guest, reason 0x80000021", 0x80000021);
	ends_with(vm, unknown_to_kernel, "that the kernel does not know, 0x1234", 0x1234);
	ends_with(vm, unknown_to_us, "exit reason 4000 is unknown", 4000);
	/* None of them was an end that the kernel knows of. */
	runs_to(vm, 0x55);
	vm_close(vm);
}

TEST(run_refused)
{
	static const int errors[] = { EFAULT, EIO, ENOMEM, EINVAL };
	struct vmctx *vm;
	struct vm_exit ex;

	need();
	vm = guest(tell, sizeof(tell));
	for (unsigned i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		k.run_error = errors[i];
		k.runs = 1;
		CHECKF(vm_run(cpu0(vm), &ex) == 0, "%s", vm_errmsg());
		CHECK_EQ(ex.code, VM_EXIT_ERROR);
		CHECK_EQ(ex.u.error.error, errors[i]);
		CHECK_EQ(ex.pc, CODE);
		CHECKF(strstr(vm_errmsg(), strerror(errors[i])) != NULL, "%s", vm_errmsg());
	}
	runs_to(vm, 0x55);
	vm_close(vm);
}

/* The instruction of an exit cannot be completed: whoever wants the state is told, each time that it is so. */
TEST(completion_refused)
{
	struct vmctx *vm;
	uint64_t val;

	need();
	vm = guest(store, sizeof(store));
	CHECK_EQ(vm_set_register(cpu0(vm), VM_AMD64_REG_RAX, 0x66), 0);
	runs_to(vm, 0x66);
	k.run_error = EFAULT;
	k.runs = 1;
	CHECK_EQ(vm_get_register(cpu0(vm), VM_AMD64_REG_RAX, &val), -1);
	CHECKF(strstr(vm_errmsg(), "cannot complete its last instruction") != NULL, "%s", vm_errmsg());
	CHECKF(vm_get_register(cpu0(vm), VM_AMD64_REG_RAX, &val) == 0, "%s", vm_errmsg());
	CHECK_EQ(val, 0x66);
	runs_to(vm, 0x66);
	vm_close(vm);
}

/* SECTION: memory */

TEST(mapping_refused)
{
	struct vmctx *vm;
	vm_paddr_t gpa = 0xd0000000;
	vm_ooffset_t off;
	size_t len;
	int seg, prot, flags;

	need();
	vm = guest(tell, sizeof(tell));
	CHECK(vm_create_devmem(vm, DEV, "dev", 4 * VM_PAGE_SIZE) != MAP_FAILED);
	CHECKF(vm_start(vm) == 0, "%s", vm_errmsg());
	arm(1, 1, ENOMEM, KVM_SET_USER_MEMORY_REGION);
	CHECK(vm_mmap_memseg(vm, gpa, DEV, 0, 4 * VM_PAGE_SIZE, VM_PROT_ALL) == -1 && errno == ENOMEM);
	CHECKF(strstr(vm_errmsg(), "kvm cannot map 0xd0000000 with 0x4000 bytes") != NULL, "%s", vm_errmsg());
	disarm();
	CHECK_EQ(vm_mmap_getnext(vm, &gpa, &seg, &off, &len, &prot, &flags), -1);
	CHECKF(vm_mmap_memseg(vm, gpa, DEV, 0, 4 * VM_PAGE_SIZE, VM_PROT_ALL) == 0, "%s", vm_errmsg());
	/* Cutting it takes it away first: whatever fails after that, all of it is there again. */
	for (unsigned n = 2; n <= 4; n++) {
		arm(n, 1, ENOMEM, KVM_SET_USER_MEMORY_REGION);
		CHECK_EQ(vm_mprotect_memseg(vm, gpa + VM_PAGE_SIZE, VM_PAGE_SIZE, VM_PROT_READ), -1);
		disarm();
		CHECK_EQ(vm_mmap_getnext(vm, &gpa, &seg, &off, &len, &prot, &flags), 0);
		CHECK(gpa == 0xd0000000 && len == 4 * VM_PAGE_SIZE && prot == VM_PROT_ALL);
	}
	CHECKF(vm_mprotect_memseg(vm, gpa + VM_PAGE_SIZE, VM_PAGE_SIZE, VM_PROT_READ) == 0, "%s", vm_errmsg());
	/* A slot that the kernel keeps is left alone. */
	arm(1, 1, ENOMEM, KVM_SET_USER_MEMORY_REGION);
	CHECK_EQ(vm_munmap_memseg(vm, gpa, VM_PAGE_SIZE), 0);
	disarm();
	CHECKF(vm_mmap_memseg(vm, 0xd0010000, DEV, 0, 2 * VM_PAGE_SIZE, VM_PROT_ALL) == 0, "%s", vm_errmsg());
	runs_to(vm, 0x55);
	vm_close(vm);
}

static uint64_t
fetched(struct vm_dirty *d)
{
	uint64_t bits[RAM / VM_PAGE_SIZE / 64];

	CHECKF(vm_dirty_fetch(d, 0, RAM, bits) == 0, "%s", vm_errmsg());
	return (bits[0]);
}

#define	WRITTEN		(UINT64_C(1) << 4 | UINT64_C(1) << 6)	/* by store */

/* The kernel's ways to log, and the call by which each is harvested last. */
static const struct way {
	const char	*env, *reason;
	unsigned long	 req;
} ways[] = {
	{ "whole", "bitmaps, protected as they are read", KVM_GET_DIRTY_LOG },
	{ "pieces", "bitmaps, protected in pieces", KVM_CLEAR_DIRTY_LOG },
	{ "ring", "rings, as asked", KVM_RESET_DIRTY_RINGS },
};

static void
log_refused(const struct way *way)
{
	uint64_t bits[RAM / VM_PAGE_SIZE / 64];
	struct vm_dirty *d;
	struct vmctx *vm;

	need();
	CHECK_EQ(setenv("HYVE_KVM_LOG", way->env, 1), 0);
	vm = guest(store, sizeof(store));
	CHECKF(vm_start(vm) == 0, "%s", vm_errmsg());
	if (strstr(vm_accel_reason(vm), way->reason) == NULL)
		SKIP(vm_accel_reason(vm));
	/* The log is not switched on: nobody consumes it then. */
	arm(1, 1, ENOMEM, KVM_SET_USER_MEMORY_REGION);
	CHECK(vm_dirty_open(vm) == NULL && errno == ENOMEM);
	CHECKF(strstr(vm_errmsg(), "kvm cannot log writes to 0x0") != NULL, "%s", vm_errmsg());
	disarm();
	runs_to(vm, 0);
	CHECKF((d = vm_dirty_open(vm)) != NULL, "%s", vm_errmsg());
	runs_to(vm, 0);
	/* What a fetch that fails did not get the next one has. */
	arm(1, 1, EIO, way->req);
	CHECK_EQ(vm_dirty_fetch(d, 0, RAM, bits), -1);
	CHECKF(strstr(vm_errmsg(), "dirty ") != NULL, "%s", vm_errmsg());
	disarm();
	CHECK_EQ(fetched(d) & WRITTEN, WRITTEN);
	CHECK_EQ(fetched(d) & WRITTEN, 0);
	/* A log that goes with its slot and cannot be read: all pages count as written, or what a ring had is there. */
	runs_to(vm, 0);
	arm(1, 1, EIO, way->req);
	CHECKF(vm_mprotect_memseg(vm, 0x100000, VM_PAGE_SIZE, VM_PROT_READ) == 0, "%s", vm_errmsg());
	CHECK_EQ(k.calls, 1);
	disarm();
	CHECK_EQ(fetched(d), UINT64_MAX);
	CHECK_EQ(fetched(d) & WRITTEN, 0);
	/* And it goes on. */
	runs_to(vm, 0);
	CHECK_EQ(fetched(d) & WRITTEN, WRITTEN);
	vm_dirty_close(d);
	vm_close(vm);
}

TEST(dirty_log_refused)
{
	log_refused(&ways[0]);
}

TEST(dirty_pieces_refused)
{
	log_refused(&ways[1]);
}

TEST(dirty_ring_refused)
{
	log_refused(&ways[2]);
}

/* mov ax, 2000h; mov cx, 224; 1: mov es, ax; mov es:[0], al; add ax, 100h; loop 1b; out 80h, al; jmp to the first: a store to each page from 20000h on */
static const uint8_t many_pages[] = { 0xb8, 0x00, 0x20, 0xb9, 0xe0, 0x00, 0x8e, 0xc0, 0x26, 0xa2, 0x00, 0x00, 0x05, 0x00, 0x01, 0xe2, 0xf5, 0xe6, PORT,
	0xeb, 0xeb };

/* More pages than a ring of 256 entries has without its reserve, in one go: at the latest the next entry finds it full. */
TEST(dirty_ring_overrun)
{
	uint64_t bits[RAM / VM_PAGE_SIZE / 64];
	struct vm_dirty *d;
	struct vmctx *vm;
	unsigned n = 0;
	int entries;

	need();
	CHECK_EQ(setenv("HYVE_KVM_LOG", "ring=4096", 1), 0);
	vm = guest(many_pages, sizeof(many_pages));
	CHECKF(vm_start(vm) == 0, "%s", vm_errmsg());
	if (strstr(vm_accel_reason(vm), "rings") == NULL)
		SKIP("this kernel has no rings so small");
	CHECKF((d = vm_dirty_open(vm)) != NULL, "%s", vm_errmsg());
	runs_to(vm, 0);
	runs_to(vm, 0);
	CHECK(vm_get_stats(cpu0(vm), &entries)[VM_STAT_KVM_RING] > 0);
	CHECKF(vm_dirty_fetch(d, 0, RAM, bits) == 0, "%s", vm_errmsg());
	for (unsigned i = 0x20; i < 0x20 + 224; i++)
		n += bits[i / 64] >> i % 64 & 1;
	CHECK_EQ(n, 224);
	vm_dirty_close(d);
	vm_close(vm);
}

static void
ring_full(struct kvm_run *run)
{
	run->exit_reason = KVM_EXIT_DIRTY_RING_FULL;
}

/* A full ring is emptied by its vCPU, which goes on; a kernel that does not reset it ends the vCPU. */
TEST(dirty_ring_full)
{
	struct vm_exit ex;
	struct vm_dirty *d;
	struct vmctx *vm;
	int n;

	need();
	CHECK_EQ(setenv("HYVE_KVM_LOG", "ring=4096", 1), 0);
	vm = guest(store, sizeof(store));
	CHECKF(vm_start(vm) == 0, "%s", vm_errmsg());
	if (strstr(vm_accel_reason(vm), "rings") == NULL)
		SKIP(vm_accel_reason(vm));
	CHECKF((d = vm_dirty_open(vm)) != NULL, "%s", vm_errmsg());
	runs_to(vm, 0);
	k.made = ring_full;
	k.run = kvm_cpu(cpu0(vm))->run;
	k.runs = 3;
	runs_to(vm, 0);
	CHECK_EQ(vm_get_stats(cpu0(vm), &n)[VM_STAT_KVM_RING], 3);
	CHECK_EQ(fetched(d) & WRITTEN, WRITTEN);
	runs_to(vm, 0);
	k.runs = 1;
	arm(1, 1, EIO, KVM_RESET_DIRTY_RINGS);
	CHECKF(vm_run(cpu0(vm), &ex) == 0, "%s", vm_errmsg());
	disarm();
	CHECK(ex.code == VM_EXIT_ERROR && ex.u.error.error == EIO);
	CHECKF(strstr(vm_errmsg(), "dirty rings cannot be reset") != NULL, "%s", vm_errmsg());
	CHECK_EQ(fetched(d) & WRITTEN, WRITTEN);
	vm_dirty_close(d);
	vm_close(vm);
}

/* SECTION: interrupts and doorbells */

/* A message by an eventfd reaches the controller, whoever carries it: the local APIC has it in its request register. */
static bool
message_arrives(struct vmctx *vm, int fd, unsigned vector)
{
	const struct timespec ts = { .tv_nsec = 1000000 };
	struct kvm_lapic_state lapic;

	CHECK_EQ(eventfd_write(fd, 1), 0);
	for (int i = 0; i < 10000; i++) {
		CHECK_EQ(__real_ioctl(kvm_cpu(cpu0(vm))->fd, KVM_GET_LAPIC, &lapic), 0);
		if ((lapic.regs[0x200 + vector / 32 * 16 + vector % 32 / 8] >> vector % 8 & 1) != 0)
			return (true);
		nanosleep(&ts, NULL);
	}
	return (false);
}

static void
lapic_on(struct vmctx *vm)
{
	struct kvm_lapic_state lapic;

	CHECK_EQ(__real_ioctl(kvm_cpu(cpu0(vm))->fd, KVM_GET_LAPIC, &lapic), 0);
	lapic.regs[0xf0] = 0xff;
	lapic.regs[0xf1] = 1;			/* SVR: enabled */
	CHECK_EQ(__real_ioctl(kvm_cpu(cpu0(vm))->fd, KVM_SET_LAPIC, &lapic), 0);
}

TEST(routes_refused)
{
	static const unsigned long reqs[] = { KVM_SET_GSI_ROUTING, KVM_IRQFD };
	struct vmctx *vm;
	struct vm_irq *irq[3];
	int fd[3];

	need();
	vm = guest(spin, sizeof(spin));
	CHECKF(vm_start(vm) == 0, "%s", vm_errmsg());
	lapic_on(vm);
	for (unsigned i = 0; i < 3; i++) {
		CHECK((fd[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) >= 0);
		CHECK((irq[i] = vm_irq_open_msi(vm, 0)) != NULL);
		CHECK_EQ(vm_irq_set_msi(irq[i], 0xfee00000, 0x40 + i), 0);
		CHECK_EQ(vm_irq_set_mask(irq[i], false), 0);
		if (i > 0)
			arm(1, 1, ENOSPC, reqs[i - 1]);
		CHECKF(vm_irq_bind(irq[i], fd[i], -1) == 0, "%s", vm_errmsg());
		CHECK(i == 0 || k.calls > 0);
		disarm();
		/* This one, and those that the kernel had before. */
		for (unsigned j = 0; j <= i; j++)
			CHECKF(message_arrives(vm, fd[j], 0x40 + j), "message %u of %u", j, i);
	}
	for (unsigned i = 0; i < 3; i++) {
		vm_irq_close(irq[i]);
		close(fd[i]);
	}
	vm_close(vm);
}

TEST(doorbell_refused)
{
	struct vm_doorbell_spec spec = { .space = VM_SPACE_IO, .addr = PORT, .size = 1 };
	struct vm_doorbell *db;
	struct vmctx *vm;
	struct vm_exit ex;
	eventfd_t n;

	need();
	vm = guest(tell, sizeof(tell));
	CHECKF(vm_start(vm) == 0, "%s", vm_errmsg());
	CHECK((spec.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) >= 0);
	arm(1, 1, ENOSPC, KVM_IOEVENTFD);
	CHECKF((db = vm_doorbell_open(vm, &spec)) != NULL, "%s", vm_errmsg());
	CHECK_EQ(k.calls, 1);
	disarm();
	/* The output rings it, and the guest goes on to its end. */
	CHECK_EQ(vm_set_capability(cpu0(vm), VM_CAP_HALT_EXIT, 0), 0);
	{
		pthread_t thread;

		CHECK_EQ(pthread_create(&thread, NULL, kicker, cpu0(vm)), 0);
		CHECKF(vm_run(cpu0(vm), &ex) == 0, "%s", vm_errmsg());
		CHECK_EQ(ex.code, VM_EXIT_KICKED);
		pthread_join(thread, NULL);
	}
	CHECK_EQ(eventfd_read(spec.fd, &n), 0);
	CHECK_EQ(n, 1);
	vm_doorbell_close(db);
	close(spec.fd);
	vm_close(vm);
}

TEST_MAIN()
