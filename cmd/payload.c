/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * payload.c - hyve payload: run a flat binary on a machine of RAM, a serial port and a way to
 * end.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boot/boot.h"
#include "cmd.h"
#include "device.h"
#include "error.h"
#include "newvm.h"
#include "prealloc.h"
#include "payload.h"
#include "runner.h"

struct run {
	struct runner	 r;
	const struct payload_machine *machine;
	struct vm_irq	*uart_irq;
	struct vm_range	*exit_range;
};

/* The payload's way to end: 0 reset, 1 power off, 2 halt.  vCPU's thread. */
static void
exit_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	static const enum vm_suspend_how hows[] = { VM_SUSPEND_RESET, VM_SUSPEND_POWEROFF, VM_SUSPEND_HALT };
	struct run *run = arg;

	if (size == 1 && val < sizeof(hows) / sizeof(hows[0]))
		(void)vm_suspend(run->r.vmm.vm, hows[val]);
	else
		log_guest(run->r.vmm.log, &run->r.rate, "exit", "a write of %u bytes with %#" PRIx64 " ends nothing", size,
		    val);
}

/* Read the image into RAM at its place. */
static int
load_image(struct run *run, const char *path, vm_paddr_t at)
{
	const struct payload_machine *m = run->machine;
	struct boot_file file;
	uint8_t *to;
	int error = 0;

	if (boot_read_file(path, &file) != 0)
		return (-1);
	to = vm_map_gpa(run->r.vmm.vm, at, file.len);
	if (to == NULL)
		error = vmm_fail(EFAULT, "'%s' (%zu bytes) does not fit in RAM at %#" PRIx64, path, file.len, at);
	else if (at < m->reserved_end && at + file.len > m->reserved)
		error = vmm_fail(EINVAL, "'%s' covers the descriptor table at %#" PRIx64, path, m->reserved);
	else
		memcpy(to, file.data, file.len);
	free((void *)(uintptr_t)file.data);
	return (error);
}

static int
make_devices(struct run *run, struct config *cfg)
{
	const struct payload_machine *m = run->machine;
	struct vm_range_spec spec = {
		.name = "payload exit", .space = m->space, .base = m->exit, .len = 1, .write = exit_write, .arg = run,
	};
	struct device_place place = {
		.on = m->space == VM_SPACE_IO ? DEVICE_ON_IO : DEVICE_ON_MMIO, .base = m->uart, .nirqs = 1,
	};
	struct config_node *node = config_node(cfg, "serial");

	run->exit_range = vm_range_add(run->r.vmm.vm, &spec);
	run->uart_irq = vm_irq_open_line(run->r.vmm.vm, m->uart_line);
	if (run->exit_range == NULL || run->uart_irq == NULL)
		return (vmm_fail(errno, "%s", vm_errmsg()));
	place.irq[0] = run->uart_irq;
	if (node == NULL ||
	    device_create(&run->r.vmm, device_class_find("ns16550"), "serial", node, &place) == NULL)
		return (-1);
	return (0);
}

static int
make_cpus(struct run *run, struct config *cfg, vm_paddr_t at)
{
	struct vmm_topology topo;

	if (vmm_get_topology(cfg, &topo) != 0)
		return (-1);
	if (runner_open_cpus(&run->r, topo.cpus) != 0)
		return (-1);
	if (run->machine->enter(run->r.vmm.vm, run->r.vcpus[0], at) != 0 || vm_start(run->r.vmm.vm) != 0)
		return (vmm_fail(errno, "%s", vm_errmsg()));
	return (0);
}

static void
teardown(struct run *run)
{
	if (run->r.vmm.vm != NULL) {
		if (run->r.vmm.loop != NULL)
			devices_destroy(&run->r.vmm);
		vm_range_remove(run->exit_range);
		vm_irq_close(run->uart_irq);
	}
	runner_fini(&run->r);
}

static int
payload(struct config *cfg, const char *image, bool have_at, vm_paddr_t at)
{
	static const struct payload_machine *const machines[] = { &payload_amd64, &payload_arm64 };
	struct run run = { .r.sigfd = -1 };
	int r = -1, code;

	if (runner_init(&run.r) != 0)
		goto out;
	run.r.vmm.config = cfg;
	run.r.vmm.vm = vmm_new_vm(cfg, NULL, true);
	if (run.r.vmm.vm == NULL || (config_bool(config_node(cfg, ""), "memory.prealloc") && vmm_prealloc(run.r.vmm.vm, run.r.vmm.log) != 0))
		goto out;
	for (unsigned i = 0; i < sizeof(machines) / sizeof(machines[0]); i++) {
		if (machines[i]->arch == vm_get_arch(run.r.vmm.vm))
			run.machine = machines[i];
	}
	if (!have_at)
		at = run.machine->at;
	if (load_image(&run, image, at) != 0 || make_devices(&run, cfg) != 0 || make_cpus(&run, cfg, at) != 0)
		goto out;
	fprintf(stderr, "hyve: %s guest on back end %s: %s\n", vm_arch_name(run.machine->arch),
	    vm_accel_name(run.r.vmm.vm), vm_accel_reason(run.r.vmm.vm));
	r = runner_run(&run.r);
out:
	code = atomic_load(&run.r.code);
	if (r != 0)
		code = cmd_fail(EXIT_VM_ERROR, "%s", vmm_errmsg());
	teardown(&run);
	return (code);
}

static int
parse_addr(const char *text, vm_paddr_t *at)
{
	char *end;

	errno = 0;
	*at = strtoull(text, &end, 0);
	if (errno != 0 || end == text || *end != '\0' || text[0] == '-')
		return (vmm_fail(EINVAL, "--at: '%s' is not an address", text));
	return (0);
}

/* --arch and --accel are short for --set. */
int
cmd_payload(const struct verb *verb, int argc, char **argv)
{
	static const struct option options[] = {
		{ "arch", required_argument, NULL, 'a' },
		{ "accel", required_argument, NULL, 'x' },
		{ "image", required_argument, NULL, 'i' },
		{ "at", required_argument, NULL, 't' },
		{ "config", required_argument, NULL, 'k' },
		{ "set", required_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	static const struct config_origin here = { CONFIG_FROM_CODE, "hyve payload", 0 };
	struct config *cfg = cmd_config_new();
	const char *image = NULL;
	vm_paddr_t at = 0;
	bool have_at = false;
	int opt, r = 0, code;

	if (cfg == NULL || config_set(cfg, "serial.path", "stdio", &here) != 0) {
		config_free(cfg);
		return (cmd_fail(EXIT_VM_ERROR, "%s", vmm_errmsg()));
	}
	while (r == 0 && (opt = getopt_long(argc, argv, "k:h", options, NULL)) != -1) {
		switch (opt) {
		case 'a':
			r = cmd_config_key(cfg, "arch", optarg, optind - 1);
			break;
		case 'x':
			r = cmd_config_key(cfg, "accel", optarg, optind - 1);
			break;
		case 'i':
			image = optarg;
			break;
		case 't':
			r = parse_addr(optarg, &at);
			have_at = true;
			break;
		case 'k':
			r = cmd_config_file(cfg, optarg);
			break;
		case 's':
			r = cmd_config_arg(cfg, optarg, optind - 1);
			break;
		default:
			config_free(cfg);
			return (cmd_usage(verb, opt == 'h' ? 0 : EXIT_VM_ERROR));
		}
	}
	if (r == 0 && (image == NULL || optind < argc)) {
		config_free(cfg);
		return (cmd_usage(verb, EXIT_VM_ERROR));
	}
	if (r != 0 || config_check(cfg) != 0)
		code = cmd_fail(EXIT_VM_ERROR, "%s", vmm_errmsg());
	else
		code = payload(cfg, image, have_at, at);
	config_free(cfg);
	return (code);
}
