/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kvm_faults.c - what the kvm back end does when the kernel refuses, and when KVM_RUN returns with what no guest of ours could cause.  Memory and interrupts
 * are in kvm_faults_memory.c.
 */
#include <sys/mman.h>

#include <pthread.h>
#include <time.h>

#include "kvm_shim.h"
#include "open_files.h"

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

TEST_MAIN()
