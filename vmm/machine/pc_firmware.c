/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pc_firmware.c - the amd64 machine that starts firmware: flash that ends at 4 GiB, and what it is told.
 *
 * Code is the upper flash, so that its last 16 bytes are where a processor begins; variables are the one below (edk2's OVMF).  An image
 * without a file of variables has them within itself, if it has any: then the whole of it is the user's, and made from the image.
 */
#include <sys/stat.h>

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../acpi/tables.h"
#include "../error.h"
#include "../firmware/fw_cfg.h"
#include "../firmware/smbios.h"
#include "../log.h"
#include "machine_firmware.h"
#include "parts.h"
#include "pc.h"

#define	FLASH_END	0x100000000ULL
#define	FLASH_MAX	(8ULL << 20)	/* both: local APICs are below */
#define	FLASH_BLOCK	4096ULL		/* of an erase block */
#define	FW_CFG		0x510
#define	BIOS_AREA	(128ULL << 10)	/* before 1 MiB */
#define	BIOS_LOG	0x402

#define	GIB		(1ULL << 30)

const struct firmware_place pc_firmware_places[] = {
	{ "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd", "ovmf of Debian and Ubuntu" },
	{ "/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd", "ovmf of Debian and Ubuntu" },
	{ "/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd", "edk2-ovmf of Fedora" },
	{ "/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd", "edk2-ovmf of Arch Linux" },
	{ "/usr/share/qemu/ovmf-x86_64-code.bin", "/usr/share/qemu/ovmf-x86_64-vars.bin", "qemu-ovmf-x86_64 of openSUSE" },
	{ NULL, NULL, NULL },
};

const struct firmware_place pc_bios_places[] = {
	{ "/usr/share/seabios/bios-256k.bin", NULL, "seabios of Debian, Ubuntu and Arch Linux, seabios-bin of Fedora" },
	{ "/usr/share/qemu/bios-256k.bin", NULL, "qemu-SeaBIOS of openSUSE" },
	{ NULL, NULL, NULL },
};

/* Bytes of a flash that holds a file. */
static int
flash_size(const char *path, uint64_t *size)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return (vmm_fail_sys(errno, "firmware '%s'", path));
	if (st.st_size < 64 << 10 || (uint64_t)st.st_size > FLASH_MAX || (uint64_t)st.st_size % FLASH_BLOCK != 0)
		return (vmm_fail(EINVAL, "firmware '%s' has %lld bytes: a PC's has 64 KiB to 8 MiB, a multiple of 4 KiB. Is it an image "
		    "for another machine?", path, (long long)st.st_size));
	*size = (uint64_t)st.st_size;
	return (0);
}

/* A flash of size bytes below end, byte-wide: what it begins with, and whose file it is. */
static int
add_flash(struct machine *m, const char *name, uint64_t end, uint64_t size, const char *path, const char *template, bool readonly)
{
	char node[16], key[32], bytes[24];
	const struct {
		const char *key, *value;
	} keys[] = {
		{ "path", path }, { "template", template }, { "readonly", readonly ? "true" : "false" }, { "size", bytes },
		{ "block", "4096" }, { "width", "1" }, { "chips", "1" },
	};
	const struct part flash = { "cfi-flash", name, node, DEVICE_ON_MMIO, end - size, 0, { 0 }, false };

	(void)snprintf(node, sizeof(node), "pc.%s", name);
	(void)snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)size);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		(void)snprintf(key, sizeof(key), "%s.%s", node, keys[i].key);
		if (machine_firmware_key(m, key, keys[i].value) != 0)
			return (-1);
	}
	return (parts_add(m, &flash) != NULL ? 0 : -1);
}

/* SeaBIOS' log: a byte at a time, if what it reads says that somebody listens.  The vCPU's thread. */
static uint64_t
bios_log_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	return (0xe9);
}

static void
bios_log_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct machine *m = arg;
	struct pc *pc = m->priv;
	char c = (char)val;

	if (c != '\n' && pc->bios_len < sizeof(pc->bios_line) - 1) {
		if (c >= ' ' && c <= '~')
			pc->bios_line[pc->bios_len++] = c;
		return;
	}
	pc->bios_line[pc->bios_len] = '\0';
	pc->bios_len = 0;
	log_msg(m->vmm->log, LOG_LEVEL_INFO, "bios", "%s", pc->bios_line);
}

/* The end of the image also below 1 MiB, where a BIOS runs: RAM that the host bridge lets be written when it is told to (q35.c). */
static int
shadow(struct machine *m)
{
	struct boot_file image;
	uint64_t len;
	int error;

	if (boot_read_file(m->firmware->code, &image) != 0)
		return (-1);
	len = image.len < BIOS_AREA ? image.len : BIOS_AREA;
	error = vm_gpa_write(m->vmm->vm, (1ULL << 20) - len, image.data + image.len - len, len);
	free((void *)(uintptr_t)image.data);
	return (error == 0 ? 0 : vmm_fail_vm("BIOS"));
}

static int
bios_init(struct machine *m, uint64_t size)
{
	struct pc *pc = m->priv;
	struct vm_range_spec spec = {
		.name = "bios-log", .space = VM_SPACE_IO, .base = BIOS_LOG, .len = 1, .read = bios_log_read, .write = bios_log_write,
		.arg = m,
	};

	if (add_flash(m, "flash0", FLASH_END, size, m->firmware->code, NULL, true) != 0 || shadow(m) != 0)
		return (-1);
	if (!config_bool(config_node(m->vmm->config, "pc"), "bios_log"))
		return (0);
	pc->bios_log = vm_range_add(m->vmm->vm, &spec);
	return (pc->bios_log != NULL ? 0 : vmm_fail_vm("pc: BIOS log"));
}

int
pc_firmware_init(struct machine *m)
{
	static const struct part fw_cfg = { "fw-cfg", "fw-cfg", "pc.fw_cfg", DEVICE_ON_IO, FW_CFG, 0, { 0 }, false };
	const struct firmware *fw = m->firmware;
	struct pc *pc = m->priv;
	uint64_t code, vars;

	if (flash_size(fw->code, &code) != 0)
		return (-1);
	if (fw->bios) {
		if (bios_init(m, code) != 0)
			return (-1);
	} else if (fw->template == NULL) {
		if (add_flash(m, "flash0", FLASH_END, code, fw->vars, fw->code, false) != 0)
			return (-1);
	} else {
		if (flash_size(fw->template, &vars) != 0)
			return (-1);
		if (code + vars > FLASH_MAX)
			return (vmm_fail(EINVAL, "firmware '%s' and '%s' have more than 8 MiB", fw->code, fw->template));
		if (add_flash(m, "flash0", FLASH_END, code, fw->code, NULL, true) != 0 ||
		    add_flash(m, "flash1", FLASH_END - code, vars, fw->vars, fw->template, false) != 0)
			return (-1);
	}
	pc->fw_cfg = parts_add(m, &fw_cfg);
	return (pc->fw_cfg != NULL ? 0 : -1);
}

/* The map of RAM, in the form of the BIOS' function E820h (ACPI 6.5, 15.1), little-endian and without gaps. */
static int
publish_ram(struct machine *m)
{
	struct vmctx *vm = m->vmm->vm;
	const struct {
		uint64_t base, len;
	} ram[] = { { 0, vm_get_lowmem_size(vm) }, { vm_get_highmem_base(vm), vm_get_highmem_size(vm) } };
	uint8_t map[2 * 20], *p = map;
	struct pc *pc = m->priv;

	for (size_t i = 0; i < sizeof(ram) / sizeof(ram[0]); i++) {
		const uint64_t base = htole64(ram[i].base), len = htole64(ram[i].len);
		const uint32_t type = htole32(BOOT_RAM);

		if (ram[i].len == 0)
			continue;
		memcpy(p, &base, 8);
		memcpy(p + 8, &len, 8);
		memcpy(p + 16, &type, 4);
		p += 20;
	}
	if (fw_cfg_add_number(pc->fw_cfg, FW_CFG_RAM_SIZE, ram[0].len + ram[1].len, 8) != 0)
		return (-1);
	return (fw_cfg_add_file(pc->fw_cfg, "etc/e820", map, (size_t)(p - map)));
}

static int
publish_acpi(struct machine *m)
{
	struct vmctx *vm = m->vmm->vm;
	/* Behind RAM all is free for BARs, wherever firmware puts them. */
	uint64_t top = vm_get_highmem_base(vm) + vm_get_highmem_size(vm);
	struct pc *pc = m->priv;
	struct acpi_blob blob;
	int error;

	if (pc_acpi(m, (top + GIB - 1) & ~(GIB - 1), &blob) != 0)
		return (-1);
	error = acpi_publish(&blob, pc->fw_cfg);
	acpi_free(&blob);
	return (error);
}

int
pc_firmware_boot(struct machine *m, const struct boot_spec *spec)
{
	const uint16_t port = htole16(PC_COM1);
	struct pc *pc = m->priv;

	if (m->firmware->bios && spec->kernel.data != NULL)
		return (vmm_fail(EINVAL, "a BIOS starts no kernel that is given: leave --firmware out, or --kernel"));
	if (publish_ram(m) != 0 || publish_acpi(m) != 0)
		return (-1);
	/* Where it has its console, as there is no display. */
	if (m->firmware->bios && fw_cfg_add_file(pc->fw_cfg, "etc/sercon-port", &port, sizeof(port)) != 0)
		return (-1);
	return (machine_firmware_tell(m, pc->fw_cfg, spec, SMBIOS_FAMILY_OTHER));
}
