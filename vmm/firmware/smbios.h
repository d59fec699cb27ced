/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * smbios.h - what a system is told about the machine it runs on (DMTF DSP0134, SMBIOS 3.0): identity, processors, memory.
 *
 * Machine-independent.  Texts come from the keys smbios.*, named as bhyve's.
 */
#ifndef _HYVE_SMBIOS_H_
#define	_HYVE_SMBIOS_H_

#include <stddef.h>
#include <stdint.h>

#include <vmmapi.h>

#include "../config/config.h"

struct device;

#define	SMBIOS_FAMILY_OTHER	0x01
#define	SMBIOS_FAMILY_ARMV8	0x101

/* The keys below "smbios". */
extern const struct config_keys smbios_keys;

struct smbios_spec {
	struct config	*config;
	uint16_t	 cpu_family;	/* DSP0134 7.5.2 */
	const char	*cpu_version;	/* for people */
	unsigned	 sockets, cores, threads;	/* cores of a socket, threads of a core */
	/* RAM, in order; each range gets a mapped address. */
	struct {
		uint64_t base, len;
	} ram[VM_LAYOUT_MAX];
	unsigned	 nram;
};

#define	SMBIOS_ANCHOR	24		/* bytes of the 64-bit entry point */

struct smbios {
	uint8_t		 anchor[SMBIOS_ANCHOR];	/* without the address: firmware puts that in, and the checksum */
	uint8_t		*tables;
	size_t		 len;
};

/* Build the structures; *s is the caller's to smbios_free().  -1 with a sentence. */
int	smbios_build(const struct smbios_spec *spec, struct smbios *s);
void	smbios_free(struct smbios *s);
/* Give them to firmware by a fw_cfg device.  -1 with a sentence. */
int	smbios_publish(const struct smbios *s, struct device *fw_cfg);

#endif /* _HYVE_SMBIOS_H_ */
