/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * machine.c - the list of machines.
 */
#include <errno.h>

#include "../error.h"
#include "../firmware/firmware.h"
#include "../firmware/smbios.h"
#include "machine.h"

static const struct machine_class *const machines[] = { &machine_pc, &machine_virt };

static const struct config_key slot_keys[] = {
	{ .name = "id", .type = CONFIG_STRING, .max = MACHINE_ID_MAX, .help = "what clients of the control socket call the device" },
};
const struct config_keys machine_slot_keys = { slot_keys, sizeof(slot_keys) / sizeof(slot_keys[0]) };

const struct machine_class *
machine_at(unsigned i)
{
	return (i < sizeof(machines) / sizeof(machines[0]) ? machines[i] : NULL);
}

int
machine_declare(struct config *cfg)
{
	const struct machine_class *cls;

	if (config_declare(cfg, "boot", &boot_keys) != 0 || config_declare(cfg, "boot.module.*", &boot_module_keys) != 0 ||
	    config_declare(cfg, "firmware", &firmware_keys) != 0 ||
	    config_declare(cfg, "firmware.item.*", &firmware_item_keys) != 0 || config_declare(cfg, "smbios", &smbios_keys) != 0 ||
	    config_declare_slots(cfg, MACHINE_SLOTS, &device_selector, device_class_keys) != 0 ||
	    config_declare_slots(cfg, MACHINE_BEHIND, &device_selector, device_class_keys) != 0 ||
	    config_declare(cfg, MACHINE_SLOTS, &machine_slot_keys) != 0 || config_declare(cfg, MACHINE_BEHIND, &machine_slot_keys) != 0)
		return (-1);
	for (unsigned i = 0; (cls = machine_at(i)) != NULL; i++) {
		if (config_declare(cfg, cls->name, &cls->keys) != 0)
			return (-1);
		for (const struct machine_part *part = cls->parts; part->prefix != NULL; part++) {
			if (config_declare(cfg, part->prefix, device_class_keys(part->device)) != 0)
				return (-1);
		}
	}
	return (0);
}

const struct machine_class *
machine_find(enum vm_arch arch)
{
	const struct machine_class *cls;

	for (unsigned i = 0; (cls = machine_at(i)) != NULL; i++) {
		if (cls->arch == arch)
			return (cls);
	}
	return (vmm_fail_null(ENOTSUP, "there is no machine for %s guests yet", vm_arch_name(arch)));
}
