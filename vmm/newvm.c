/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * newvm.c - from the configuration's global keys to a VM with memory and vCPUs.
 */
#include <errno.h>
#include <string.h>

#include "error.h"
#include "newvm.h"

/* The choices of the keys, by position in keys.c. */
static const enum vm_arch archs[] = { VM_ARCH_AMD64, VM_ARCH_ARM64 };
static const enum vm_accel accels[] = { VM_ACCEL_AUTO, VM_ACCEL_KVM, VM_ACCEL_SOFT };
static const enum vm_clock_source clocks[] = { VM_CLOCK_HOST, VM_CLOCK_ICOUNT };
static const int pages[] = { 0, VM_MEM_F_HUGE_2M, VM_MEM_F_HUGE_1G };
static const enum vm_jit_how jits[] = { VM_JIT_AUTO, VM_JIT_OFF, VM_JIT_ON };

int
vmm_get_topology(struct config *cfg, struct vmm_topology *topo)
{
	struct config_node *root = config_node(cfg, "");
	bool parts = config_is_set(root, "sockets") || config_is_set(root, "cores") ||
	    config_is_set(root, "threads");
	int64_t sockets = config_num(root, "sockets"), cores = config_num(root, "cores");
	int64_t threads = config_num(root, "threads"), cpus = config_num(root, "cpus");
	int64_t product = sockets * cores * threads;

	if (!config_is_set(root, "cpus"))
		cpus = product;
	else if (!parts)
		sockets = product = cpus;
	if (product != cpus)
		return (vmm_fail(EINVAL, "cpus=%lld, but sockets * cores * threads is %lld", (long long)cpus,
		    (long long)product));
	if (cpus > VM_MAXCPU)
		return (vmm_fail(EINVAL, "sockets * cores * threads is %lld, more than %d", (long long)cpus,
		    VM_MAXCPU));
	topo->cpus = (unsigned)cpus;
	topo->sockets = (uint16_t)sockets;
	topo->cores = (uint16_t)cores;
	topo->threads = (uint16_t)threads;
	return (0);
}

enum vm_arch
vmm_arch(struct config *cfg)
{
	return (archs[config_num(config_node(cfg, ""), "arch")]);
}

/* The library's sentence, about a key if that is known; what it calls a VM without a name is left out. */
static void
fail_as_told(const char *key)
{
	static const char nobody[] = "vm '': ";
	const char *why = vm_errmsg();

	if (strncmp(why, nobody, sizeof(nobody) - 1) == 0)
		why += sizeof(nobody) - 1;
	(void)vmm_fail(errno, "%s%s%s", key != NULL ? key : "", key != NULL ? ": " : "", why);
}

struct vmctx *
vmm_new_vm(struct config *cfg, const struct vm_layout *layout, bool named)
{
	struct config_node *root = config_node(cfg, "");
	struct vm_spec spec = {
		.size = sizeof(spec),
		.name = named ? config_str(root, "name") : NULL,
		.arch = vmm_arch(cfg),
		.accel = accels[config_num(root, "accel")],
		.clock = clocks[config_num(root, "clock")],
		.flags = VM_SPEC_DESTROY,
		.layout = layout,
		.seed = (uint64_t)config_num(root, "seed"),
		.halt_poll = config_num(root, "halt_poll_ns") >= 0,
		.halt_poll_ns = config_num(root, "halt_poll_ns") >= 0 ? (uint32_t)config_num(root, "halt_poll_ns") : 0,
		.jit = { .how = jits[config_num(root, "jit")], .hot = (uint32_t)config_num(root, "jit_hot"),
		    .size = (size_t)config_num(root, "jit_size"), .check = (uint32_t)config_num(root, "jit_check"),
		    .map = config_bool(root, "jit_map") },
	};
	const char *model = config_str(root, "cpu.model");
	struct vmm_topology topo;
	struct vmctx *vm;

	if (vmm_get_topology(cfg, &topo) != 0)
		return (NULL);
	if (spec.jit.check != 0 && (topo.cpus != 1 || spec.clock != VM_CLOCK_ICOUNT)) {
		(void)vmm_fail(EINVAL, "jit_check compares native code on one vCPU in virtual time: it needs cpus=1 and clock=icount");
		return (NULL);
	}
	if (spec.name == NULL)
		spec.flags = 0;
#ifdef HYVE_CHECK_WRITES
	spec.flags |= VM_SPEC_CHECK_WRITES;
#endif
	vm = vm_new(&spec);
	if (vm == NULL) {
		fail_as_told(NULL);
		return (NULL);
	}
	vm_set_memflags(vm, (config_bool(root, "memory.wired") ? VM_MEM_F_WIRED : 0) |
	    (config_bool(root, "memory.guest_in_core") ? VM_MEM_F_INCORE : 0) | pages[config_num(root, "memory.pages")]);
	if (model != NULL && vm_set_cpu_model(vm, model) != 0) {
		fail_as_told("cpu.model");
		vm_destroy(vm);
		return (NULL);
	}
	if (vm_setup_memory(vm, (size_t)config_num(root, "memory.size"), VM_MMAP_ALL) != 0 ||
	    vm_set_topology(vm, topo.sockets, topo.cores, topo.threads, 0) != 0) {
		fail_as_told(NULL);
		vm_destroy(vm);
		return (NULL);
	}
	return (vm);
}

struct vmctx *
vmm_open_loaded(struct config *cfg)
{
	struct config_node *root = config_node(cfg, "");
	const char *name = config_str(root, "name");
	struct vmm_topology topo;
	struct vmctx *vm;

	if (vmm_get_topology(cfg, &topo) != 0)
		return (NULL);
	vm = vm_open(name);
	if (vm == NULL)
		return (vmm_fail_null(errno, "%s", vm_errmsg()));
	if (vm_get_lowmem_size(vm) + vm_get_highmem_size(vm) == 0)
		(void)vmm_fail(EINVAL, "vm '%s' has no memory: its loader did not finish, or is still to be run", name);
	else if (vm_get_arch(vm) != vmm_arch(cfg))
		(void)vmm_fail(EINVAL, "vm '%s' was made for %s guests", name, vm_arch_name(vm_get_arch(vm)));
	else if (vm_set_topology(vm, topo.sockets, topo.cores, topo.threads, 0) == 0)
		return (vm);
	else
		(void)vmm_fail(errno, "%s", vm_errmsg());
	vm_close(vm);
	return (NULL);
}
