// SPDX-License-Identifier: GPL-2.0-only
/* A software EPCM: what the processor knows of each page of EPC (Intel SDM, volume 3D: valid, type, owner), and the leaves of
 * ENCLS as far as the kernel's driver uses them. Nothing is encrypted or measured. EPC is memory that `memmap=` keeps free.
 *
 * /proc/sgx_epcm tells the truth, counted anew from this table at each reading, and never from a counter of the driver:
 *   enclave BASE CHILDREN     a valid SECS, and the valid pages that it owns
 *   guest ADDRESS PAGES       pages that the driver gave to this sgx_vepc
 *   va PAGES                  valid version arrays
 *   valid PAGES               all valid pages
 *   evicted PAGES             slots of version arrays that hold a version
 *   ENCLS COUNT               for each leaf, how often it succeeded
 * Writing "BASE OFFSET PAGES" to it accepts trimmed pages, as EACCEPT in the enclave would. */
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include "sgx.h"

#define FAULT(trap) (SGX_ENCLS_FAULT_FLAG | (trap))
#define MAC_FAILED 9 /* SGX_MAC_COMPARE_FAIL */
#define MAX_PAGES 65536

static ulong epc_start, epc_size, node_devices_at;
module_param(epc_start, ulong, 0444);
module_param(epc_size, ulong, 0444);
module_param(node_devices_at, ulong, 0400);
struct node **epcm_nodes;

static struct entry {
	bool valid, blocked, modified;
	u8 type;
	u32 owner;   /* page number of the SECS */
	u64 address; /* of a SECS: the enclave's base */
} table[MAX_PAGES];
static DEFINE_SPINLOCK(lock);
static u64 version = 1;
static unsigned long done[EMODT + 1];

void epcm_cpuid(u32 leaf, u32 subleaf, u32 *a, u32 *b, u32 *c, u32 *d)
{
	*a = *b = *c = *d = 0;
	if (leaf != SGX_CPUID)
		return;
	if (subleaf == 0) {
		*a = 3; /* SGX1, SGX2 */
		*b = 1; /* EXINFO */
		*d = 0x241f; /* 2^31 and 2^36 bytes */
	} else if (subleaf == 1) {
		*a = 0xf6; /* DEBUG to KSS */
		*c = 3;
	} else if (subleaf == SGX_CPUID_EPC) {
		*a = SGX_CPUID_EPC_SECTION | lower_32_bits(epc_start);
		*b = upper_32_bits(epc_start);
		*c = 1 | lower_32_bits(epc_size);
		*d = upper_32_bits(epc_size);
	}
}

static u32 number(void *address)
{
	return (address - sgx_epc_sections[0].virt_addr) >> PAGE_SHIFT;
}
static struct entry *at(void *address)
{
	return &table[number(address)];
}
static void *memory(void *address)
{
	return sgx_epc_sections[0].virt_addr + ((unsigned long)number(address) << PAGE_SHIFT);
}
static bool is_secs(void *address)
{
	return at(address)->valid && at(address)->type == SGX_PAGE_TYPE_SECS;
}
static u32 children(u32 secs)
{
	u32 i, n = 0;

	for (i = 0; i < epc_size >> PAGE_SHIFT; i++)
		n += table[i].valid && table[i].type != SGX_PAGE_TYPE_SECS && table[i].type != SGX_PAGE_TYPE_VA &&
		     table[i].owner == secs;
	return n;
}
static int succeed(int leaf)
{
	done[leaf]++;
	return 0;
}
static int fill(void *page, u8 type, u32 owner, u64 address)
{
	struct entry *e = at(page);

	if (e->valid)
		return FAULT(X86_TRAP_PF);
	*e = (struct entry){ .valid = true, .type = type, .owner = owner, .address = address };
	return 0;
}

static int ecreate(struct sgx_pageinfo *pginfo, void *page)
{
	struct sgx_secs *secs = (void *)pginfo->contents;
	int r = fill(page, SGX_PAGE_TYPE_SECS, number(page), secs->base);

	if (r)
		return r;
	memcpy(memory(page), secs, PAGE_SIZE);
	return succeed(ECREATE);
}
static int eadd(struct sgx_pageinfo *pginfo, void *page)
{
	struct sgx_secinfo *secinfo = (void *)pginfo->metadata;
	void *secs = (void *)pginfo->secs;
	int r;

	if (!is_secs(secs))
		return FAULT(X86_TRAP_PF);
	r = fill(page, (secinfo->flags >> 8) & 0xff, number(secs), pginfo->addr);
	if (r)
		return r;
	memcpy(memory(page), (void *)pginfo->contents, PAGE_SIZE);
	return succeed(EADD);
}
static int eaug(struct sgx_pageinfo *pginfo, void *page)
{
	void *secs = (void *)pginfo->secs;
	int r;

	if (!is_secs(secs))
		return FAULT(X86_TRAP_PF);
	r = fill(page, SGX_PAGE_TYPE_REG, number(secs), pginfo->addr);
	if (r)
		return r;
	memset(memory(page), 0, PAGE_SIZE);
	return succeed(EAUG);
}
static int epa(void *page)
{
	int r = fill(page, SGX_PAGE_TYPE_VA, ~0u, 0);

	if (r)
		return r;
	memset(memory(page), 0, PAGE_SIZE);
	return succeed(EPA);
}
static int eremove(void *page)
{
	struct entry *e = at(page);

	if (e->valid && e->type == SGX_PAGE_TYPE_SECS && children(number(page)))
		return SGX_CHILD_PRESENT;
	e->valid = false;
	return succeed(EREMOVE);
}
static int eblock(void *page)
{
	if (!at(page)->valid)
		return FAULT(X86_TRAP_PF);
	at(page)->blocked = true;
	return succeed(EBLOCK);
}
/* A version in the slot of a version array and in the paging metadata ties the two together, as the MAC does. */
static int ewb(struct sgx_pageinfo *pginfo, void *page, void *slot)
{
	struct sgx_pcmd *pcmd = (void *)pginfo->metadata;
	struct entry *e = at(page), *array = at(slot);

	if (!e->valid || e->type == SGX_PAGE_TYPE_VA || !array->valid || array->type != SGX_PAGE_TYPE_VA || *(u64 *)slot)
		return FAULT(X86_TRAP_GP);
	if (e->type == SGX_PAGE_TYPE_SECS ? children(number(page)) : !e->blocked)
		return e->type == SGX_PAGE_TYPE_SECS ? SGX_CHILD_PRESENT : FAULT(X86_TRAP_GP);
	memcpy((void *)pginfo->contents, memory(page), PAGE_SIZE);
	memset(pcmd, 0, sizeof(*pcmd));
	pcmd->secinfo.flags = (u64)e->type << 8 | 7;
	pcmd->enclave_id = e->address;
	*(u64 *)pcmd->mac = *(u64 *)slot = version++;
	e->valid = false;
	return succeed(EWB);
}
static int eldu(struct sgx_pageinfo *pginfo, void *page, void *slot)
{
	struct sgx_pcmd *pcmd = (void *)pginfo->metadata;
	void *secs = (void *)pginfo->secs;
	u8 type = (pcmd->secinfo.flags >> 8) & 0xff;
	int r;

	if (!*(u64 *)slot || *(u64 *)pcmd->mac != *(u64 *)slot)
		return MAC_FAILED;
	if (secs && !is_secs(secs))
		return FAULT(X86_TRAP_PF);
	r = fill(page, type, secs ? number(secs) : number(page), pcmd->enclave_id);
	if (r)
		return r;
	memcpy(memory(page), (void *)pginfo->contents, PAGE_SIZE);
	*(u64 *)slot = 0;
	return succeed(ELDU);
}
/* The driver asks this of a trimmed page to learn whether the enclave accepted that: then, and only then, it faults. */
static int emodpr(struct sgx_secinfo *secinfo, void *page)
{
	struct entry *e = at(page);

	if (e->modified)
		return SGX_PAGE_NOT_MODIFIABLE;
	if (!e->valid || e->type != SGX_PAGE_TYPE_REG)
		return FAULT(X86_TRAP_PF);
	return succeed(EMODPR);
}
static int emodt(struct sgx_secinfo *secinfo, void *page)
{
	struct entry *e = at(page);

	if (!e->valid)
		return FAULT(X86_TRAP_PF);
	e->type = (secinfo->flags >> 8) & 0xff;
	e->modified = true;
	return succeed(EMODT);
}

#define ALONE(call)                                    \
	({                                             \
		unsigned long flags;                   \
		int r;                                 \
		spin_lock_irqsave(&lock, flags);       \
		r = call;                              \
		spin_unlock_irqrestore(&lock, flags);  \
		r;                                     \
	})
int __ecreate(struct sgx_pageinfo *pginfo, void *secs) { return ALONE(ecreate(pginfo, secs)); }
int __eadd(struct sgx_pageinfo *pginfo, void *addr) { return ALONE(eadd(pginfo, addr)); }
int __eaug(struct sgx_pageinfo *pginfo, void *addr) { return ALONE(eaug(pginfo, addr)); }
int __epa(void *addr) { return ALONE(epa(addr)); }
int __eremove(void *addr) { return ALONE(eremove(addr)); }
int __eblock(void *addr) { return ALONE(eblock(addr)); }
int __ewb(struct sgx_pageinfo *pginfo, void *addr, void *va) { return ALONE(ewb(pginfo, addr, va)); }
int __eldu(struct sgx_pageinfo *pginfo, void *addr, void *va) { return ALONE(eldu(pginfo, addr, va)); }
int __emodpr(struct sgx_secinfo *secinfo, void *addr) { return ALONE(emodpr(secinfo, addr)); }
int __emodt(struct sgx_secinfo *secinfo, void *addr) { return ALONE(emodt(secinfo, addr)); }
int __eextend(void *secs, void *addr) { return at(addr)->valid && is_secs(secs) ? succeed(EEXTEND) : FAULT(X86_TRAP_PF); }
int __einit(void *sigstruct, void *token, void *secs) { return is_secs(secs) ? succeed(EINIT) : FAULT(X86_TRAP_PF); }
int __etrack(void *addr) { return is_secs(addr) ? succeed(ETRACK) : FAULT(X86_TRAP_PF); }
int __edbgrd(void *addr, unsigned long *data)
{
	*data = *(unsigned long *)addr;
	return succeed(EDGBRD);
}
int __edbgwr(void *addr, unsigned long *data)
{
	*(unsigned long *)addr = *data;
	return succeed(EDGBWR);
}

static const char *const leaves[EMODT + 1] = {
	"ECREATE", "EADD", "EINIT", "EREMOVE", "EDBGRD", "EDBGWR", "EEXTEND", NULL,
	"ELDU", "EBLOCK", "EPA", "EWB", "ETRACK", "EAUG", "EMODPR", "EMODT",
};

static int show(struct seq_file *m, void *v)
{
	struct sgx_epc_page *pages = sgx_epc_sections[0].pages;
	unsigned long i, k, valid = 0, arrays = 0, evicted = 0, n;

	for (i = 0; i < epc_size >> PAGE_SHIFT; i++) {
		void *guest = !table[i].valid && !(pages[i].flags & SGX_EPC_PAGE_IS_FREE) ? pages[i].owner : NULL;

		valid += table[i].valid;
		if (table[i].valid && table[i].type == SGX_PAGE_TYPE_VA) {
			u64 *slots = sgx_epc_sections[0].virt_addr + i * PAGE_SIZE;

			arrays++;
			for (k = 0; k < PAGE_SIZE / sizeof(*slots); k++)
				evicted += !!slots[k];
		}
		if (table[i].valid && table[i].type == SGX_PAGE_TYPE_SECS)
			seq_printf(m, "enclave %llx %u\n", table[i].address, children(i));
		for (k = 0; guest && k < i; k++) /* said at its first page */
			if (!table[k].valid && pages[k].owner == guest && !(pages[k].flags & SGX_EPC_PAGE_IS_FREE))
				guest = NULL;
		for (n = 0, k = i; guest && k < epc_size >> PAGE_SHIFT; k++)
			n += !table[k].valid && pages[k].owner == guest && !(pages[k].flags & SGX_EPC_PAGE_IS_FREE);
		if (guest)
			seq_printf(m, "guest %px %lu\n", guest, n);
	}
	seq_printf(m, "va %lu\nvalid %lu\nevicted %lu\n", arrays, valid, evicted);
	for (i = 0; i <= EMODT; i++)
		if (leaves[i])
			seq_printf(m, "%s %lu\n", leaves[i], done[i]);
	return 0;
}
static int open_(struct inode *inode, struct file *file) { return single_open(file, show, NULL); }
static ssize_t accept(struct file *file, const char __user *buffer, size_t size, loff_t *offset)
{
	unsigned long i, first, count;
	char text[64] = "";
	u64 base;
	u32 secs;

	if (size >= sizeof(text) || copy_from_user(text, buffer, size))
		return -EINVAL;
	if (sscanf(text, "%llx %lu %lu", &base, &first, &count) != 3)
		return -EINVAL;
	for (i = 0; i < epc_size >> PAGE_SHIFT; i++) {
		secs = table[i].owner;
		if (table[i].valid && table[i].modified && secs < MAX_PAGES && table[secs].address == base &&
		    table[i].address >= base + first * PAGE_SIZE && table[i].address < base + (first + count) * PAGE_SIZE)
			table[i].modified = false;
	}
	return size;
}
static const struct proc_ops ops = {
	.proc_open = open_, .proc_read = seq_read, .proc_write = accept, .proc_lseek = seq_lseek, .proc_release = single_release,
};

static int __init start(void)
{
	if (!epc_size || epc_size >> PAGE_SHIFT > MAX_PAGES || !node_devices_at)
		return -EINVAL;
	epcm_nodes = (struct node **)node_devices_at;
	return proc_create("sgx_epcm", 0600, NULL, &ops) ? epcm_driver() : -ENOMEM;
}
module_init(start);
MODULE_LICENSE("GPL");
