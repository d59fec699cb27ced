/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * acpica.h - ACPI tables as ACPICA's tools read them, in a folder of their own.
 */
#ifndef _ACPICA_H_
#define	_ACPICA_H_

#include <sys/stat.h>

#include "test.h"

static char acpica_dir[] = "/tmp/hyve-acpi-XXXXXX";

static inline void
acpica_save(const char *name, const uint8_t *t)
{
	uint32_t len;
	char path[64];
	FILE *f;

	memcpy(&len, t + 4, 4);
	(void)snprintf(path, sizeof(path), "%s/%s.dat", acpica_dir, name);
	f = fopen(path, "wb");
	CHECK(f != NULL);
	CHECK_EQ(fwrite(t, 1, len, f), len);
	CHECK_EQ(fclose(f), 0);
}

/* Run a command in the folder; its output has these words, and none of those. */
static inline void
acpica_tool(const char *command, const char *has, const char *not)
{
	char line[256], *out = NULL;
	size_t len;
	FILE *f;
	int status;

	(void)snprintf(line, sizeof(line), "cd %s && ( %s ) >out 2>&1 </dev/null", acpica_dir, command);
	status = system(line);
	(void)snprintf(line, sizeof(line), "%s/out", acpica_dir);
	f = fopen(line, "r");
	CHECK(f != NULL);
	len = 0;
	if (getdelim(&out, &len, '\0', f) < 0)
		len = 0;
	fclose(f);
	CHECKF(status == 0, "%s ends with %#x: %.1500s", command, status, out);
	CHECKF(out != NULL && strstr(out, has) != NULL, "%s: without '%s': %.1500s", command, has, out);
	CHECKF(not == NULL || strstr(out, not) == NULL, "%s: %s: %.1500s", command, not, out);
	free(out);
}

static inline void
acpica_open(void)
{
	if (system("command -v iasl >/dev/null 2>&1 && command -v acpiexec >/dev/null 2>&1") != 0)
		SKIP("iasl and acpiexec are not installed (Debian's acpica-tools)");
	CHECK(mkdtemp(acpica_dir) != NULL);
}

static inline void
acpica_close(void)
{
	char line[64];

	(void)snprintf(line, sizeof(line), "rm -r %s", acpica_dir);
	CHECK_EQ(system(line), 0);
}

/* Compiled anew it is the same, but for the compiler's name and shorter lengths: it must load as well. */
static inline void
acpica_dsdt(const uint8_t *t)
{
	acpica_save("dsdt", t);
	acpica_tool("iasl -d dsdt.dat", "Disassembly completed", "Error");
	acpica_tool("mv dsdt.dsl again.dsl && iasl -p again again.dsl", "0 Errors, 0 Warnings, 0 Remarks", NULL);
	acpica_tool("acpiexec -b 'namespace' dsdt.dat", "Namespace", "Error");
	acpica_tool("acpiexec -b 'namespace' again.aml", "Namespace", "Error");
}

/* 6.2.11, of the DSDT that was saved: the system gets hot-plug, its events and the capability, and is told that it did not get the rest. */
static inline void
acpica_osc(void)
{
#define	OSC	"acpiexec -b 'evaluate \\_SB.PCI0._OSC (5B 4D DB 33 F7 1F 1C 40 96 57 74 41 C0 3D D7 66) 1 3 "

	acpica_tool(OSC "(00 00 00 00 1F 00 00 00 3F 00 00 00)' dsdt.dat", "10 00 00 00 1F 00 00 00 15 00 00 00", "Error");
	acpica_tool(OSC "(00 00 00 00 1F 00 00 00 11 00 00 00)' dsdt.dat", "00 00 00 00 1F 00 00 00 11 00 00 00", "Error");
	acpica_tool("acpiexec -b 'evaluate \\_SB.PCI0._OSC (00 4D DB 33 F7 1F 1C 40 96 57 74 41 C0 3D D7 66) 1 3 "
	    "(00 00 00 00 1F 00 00 00 11 00 00 00)' dsdt.dat", "04 00 00 00 1F 00 00 00 11 00 00 00", "Error");
}

/* A table without code. */
static inline void
acpica_data(const char *name, const uint8_t *t)
{
	char line[128];

	acpica_save(name, t);
	(void)snprintf(line, sizeof(line), "iasl -d %s.dat && ! grep -iE 'invalid|unknown|incorrect' %s.dsl", name, name);
	acpica_tool(line, "Formatted output", "Error");
	(void)snprintf(line, sizeof(line), "iasl %s.dsl", name);
	acpica_tool(line, "Compilation successful. 0 Errors, 0 Warnings, 0 Remarks", NULL);
}

#endif /* _ACPICA_H_ */
