/* SPDX-License-Identifier: BSD-2-Clause */
/* kvm_shim.c - see kvm_shim.h. */
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <fcntl.h>
#include <pthread.h>
#include <time.h>

#include "kvm_shim.h"

struct kvm_shim k = { .msrs = -1, .poll = -1 };

/* What decides over a call: threads of the library call, too. */
static pthread_mutex_t k_lock = PTHREAD_MUTEX_INITIALIZER;

void
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

void
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

void
need(void)
{
	if (vm_accel_probe(VM_ACCEL_KVM, VM_ARCH_AMD64) != 0)
		SKIP(vm_errmsg());
}

struct vmctx *
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

struct vcpu *
cpu0(struct vmctx *vm)
{
	return (vm->vcpus[0]);
}

/* Run to the output of a byte. */
void
runs_to(struct vmctx *vm, uint8_t byte)
{
	struct vm_exit ex;

	CHECKF(vm_run(cpu0(vm), &ex) == 0, "%s", vm_errmsg());
	CHECKF(ex.code == VM_EXIT_IO && ex.u.io.write && ex.u.io.port == PORT && ex.u.io.data == byte, "exit %d, %s", ex.code, vm_errmsg());
}

void *
kicker(void *arg)
{
	const struct timespec ts = { .tv_nsec = 20000000 };

	nanosleep(&ts, NULL);
	CHECK_EQ(vm_vcpu_kick(arg), 0);
	return (NULL);
}
