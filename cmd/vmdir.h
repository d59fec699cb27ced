/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmdir.h - the directory of a VM with a name: its keys, its firmware's variables, its sockets, its log and its lock.
 *
 * Directories are below $HYVE_DIR, else /var/lib/hyve for root and $XDG_DATA_HOME/hyve/vms (~/.local/share) for others.  Whether a VM runs is a
 * matter of the lock alone, which the kernel takes back when the last process that has it ends: files say nothing of it.
 *
 * Functions that can fail return -1 or NULL with errno and a sentence in vmm_errmsg().  Any thread, one at a time.
 */
#ifndef _HYVE_VMDIR_H_
#define	_HYVE_VMDIR_H_

#include <sys/types.h>
#include <sys/un.h>

#include <stdbool.h>
#include <stdint.h>

#define	VMDIR_NAME_MAX	64		/* bytes of a VM's name */

#define	VMDIR_CONF	"vm.conf"	/* keys, as hyve-config(5) has them */
#define	VMDIR_VARS	"firmware.vars"
#define	VMDIR_LOG	"log"
#define	VMDIR_CONTROL	"control"	/* sockets */
#define	VMDIR_CONSOLE	"console"

struct vmdir {
	char	*name, *path;
	int	 fd;			/* the directory */
	int	 lock;			/* the lock file while it is held, -1 otherwise */
};

/* What the lock tells. */
struct vmdir_state {
	bool	 running;		/* a process has it */
	pid_t	 pid;			/* 0: it has not said yet */
	int64_t	 since;			/* seconds of CLOCK_REALTIME; 0: likewise */
};

/*
 * Whether a name can be a VM's: letters, digits, '.', '_', '-' and '+', the first of them a letter or a digit.
 * Errors: EINVAL, ENAMETOOLONG.
 */
int	vmdir_check_name(const char *name);

/* The folder that the directories are in; the caller's to free().  Errors: ENOENT (no home), ENOMEM. */
char	*vmdir_root(void);

/*
 * Open the directory of a VM.  Errors: ENOENT (there is no such VM; the sentence has the nearest name), those of a bad name and of
 * open(2).
 */
struct vmdir *vmdir_open(const char *name);
/* Make it, with the folders above it, for its owner alone.  Errors: EEXIST, those of mkdir(2). */
struct vmdir *vmdir_create(const char *name);
/* Close it; a lock that this process alone has is gone.  NULL is ignored. */
void	vmdir_close(struct vmdir *dir);
/* Remove the directory and all that is in it.  The caller holds the lock.  Errors: those of unlink(2). */
int	vmdir_remove(struct vmdir *dir);

/* Take the lock, or fail with EBUSY and a sentence that says who has it, and since when. */
int	vmdir_lock(struct vmdir *dir);
/* Tell who has it: this process, from now on.  The caller, or a process that it came from, took it. */
int	vmdir_lock_mine(struct vmdir *dir);
int	vmdir_state(const struct vmdir *dir, struct vmdir_state *state);

/* The path of a file of the directory, in buf, of which there have to be PATH_MAX bytes; it is returned. */
const char *vmdir_file(const struct vmdir *dir, const char *file, char *buf);
/*
 * Where a socket of the VM is: in its directory, or where that is too long for an address in $XDG_RUNTIME_DIR/hyve-sockets, which is made.
 * Errors: ENAMETOOLONG (there is no such variable, or it is too long as well).
 */
int	vmdir_socket(const struct vmdir *dir, const char *socket, char path[sizeof(((struct sockaddr_un *)0)->sun_path)]);

/* Call fn with the name of each VM in order, until it returns nonzero, which is returned.  -1 with a sentence. */
int	vmdir_each(int (*fn)(void *arg, const char *name), void *arg);

#endif /* _HYVE_VMDIR_H_ */
