/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * machine_firmware.c - what the firmware of any machine is told, by fw_cfg.
 */
#include "../error.h"
#include "../firmware/bootorder.h"
#include "../firmware/firmware.h"
#include "../firmware/fw_cfg.h"
#include "../firmware/smbios.h"
#include "../newvm.h"
#include "machine_firmware.h"

int
machine_firmware_key(struct machine *m, const char *key, const char *value)
{
	static const struct config_origin origin = { CONFIG_FROM_CODE, "firmware", 0 };

	return (value != NULL ? config_set(m->vmm->config, key, value, &origin) : 0);
}

static int
smbios(struct machine *m, struct device *fw_cfg, uint16_t cpu_family)
{
	struct vmctx *vm = m->vmm->vm;
	struct smbios_spec spec = { .config = m->vmm->config, .cpu_family = cpu_family, .cpu_version = vm_get_cpu_model(vm) };
	uint64_t low = vm_get_lowmem_size(vm), high = vm_get_highmem_size(vm);
	struct vmm_topology topo;
	struct smbios s;
	int error;

	if (vmm_get_topology(m->vmm->config, &topo) != 0)
		return (-1);
	spec.sockets = topo.sockets;
	spec.cores = topo.cores;
	spec.threads = topo.threads;
	if (low != 0) {
		spec.ram[spec.nram].base = 0;
		spec.ram[spec.nram++].len = low;
	}
	if (high != 0) {
		spec.ram[spec.nram].base = vm_get_highmem_base(vm);
		spec.ram[spec.nram++].len = high;
	}
	if (smbios_build(&spec, &s) != 0)
		return (-1);
	error = smbios_publish(&s, fw_cfg);
	smbios_free(&s);
	return (error);
}

int
machine_firmware_tell(struct machine *m, struct device *fw_cfg, const struct boot_spec *spec, uint16_t cpu_family)
{
	if (fw_cfg_add_number(fw_cfg, FW_CFG_NB_CPUS, m->ncpus, 2) != 0 ||
	    fw_cfg_add_number(fw_cfg, FW_CFG_MAX_CPUS, m->ncpus, 2) != 0 || smbios(m, fw_cfg, cpu_family) != 0 ||
	    firmware_publish_settings(fw_cfg, m->vmm->config) != 0 || bootorder_publish(m->vmm, fw_cfg) != 0 ||
	    firmware_publish_items(fw_cfg) != 0)
		return (-1);
	return (firmware_publish_kernel(fw_cfg, spec));
}
