// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Reads, for every process, how many EPC pages each SGX enclave that it maps or
 * holds open has in the processor now.  Only reads; attaches to no event.
 * Own declarations: only the fields that are read, found by name at load (CO-RE).
 * The reader in Python (rows.py) parses the rows; the two change together.      */
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct list_head { struct list_head *next, *prev; };
struct kernfs_node { __u64 id; };
struct cgroup { struct kernfs_node *kn; };
struct cgroup_subsys_state { struct cgroup *cgroup; };
struct css_set { struct cgroup *dfl_cgrp; struct cgroup_subsys_state *subsys[1]; };
struct upid { int nr; };
struct pid { unsigned int level; struct upid numbers[1]; };
struct mm_struct;
struct task_struct {
	int pid, tgid; struct task_struct *group_leader; struct mm_struct *mm;
	struct pid *thread_pid; struct css_set *cgroups; __u64 start_boottime; char comm[16];
};
struct inode { unsigned short i_mode; __u32 i_rdev; };
struct file { unsigned int f_mode; struct inode *f_inode; void *private_data; };
struct vm_area_struct { struct file *vm_file; struct mm_struct *vm_mm; };
struct seq_file;
struct bpf_iter_meta { struct seq_file *seq; __u64 session_id, seq_num; };
struct bpf_iter__task_vma { struct bpf_iter_meta *meta; struct task_struct *task; struct vm_area_struct *vma; };
struct bpf_iter__task_file { struct bpf_iter_meta *meta; struct task_struct *task; __u32 fd __attribute__((aligned(8))); struct file *file; };
/* arch/x86/kernel/cpu/sgx/encl.h, virt.c */
struct sgx_epc_page;
struct sgx_encl_page { struct sgx_epc_page *epc_page; };
struct sgx_va_page { struct list_head list; };
struct sgx_encl { unsigned long base, size, flags; unsigned int page_cnt, secs_child_cnt; struct sgx_encl_page secs; struct list_head va_pages; };
struct xarray { void *xa_head; };
struct sgx_vepc { struct xarray page_array; };
struct xa_node { unsigned char shift, count; void *slots[64]; };
#pragma clang attribute pop
enum cgroup_subsys_id { memory_cgrp_id = 4242 };

enum { K_ENCL = 1, K_VEPC = 2, K_END = 3 };
enum { F_VA_CUT = 1, F_NO_LAYOUT = 2, F_UNREAD = 4, F_GUEST_CUT = 8, F_MORE = 16 };

struct row {                             /* 120 bytes, little-endian, no holes */
	__u32 kind, how;                 /* K_*, F_* */
	__u32 tgid, nspid;               /* in the first pid namespace; the leader's pid in its own */
	__u64 started;                   /* leader's start, ns since boot: with tgid a stable key */
	__u64 cgroup2, memcg;            /* kernfs ids = inode numbers of the cgroup directories */
	__u64 encl;                      /* kernel address, used as an id only */
	__u64 base, size, flags;         /* of the enclave */
	__u32 page_cnt, child;           /* pages added and not removed (+SECS); child pages in EPC now */
	__u32 secs, va;                  /* SECS in EPC (0/1); version-array pages */
	__u64 vepc_pages;
	__s64 nr_free;                   /* sgx_nr_free_pages, -1 unknown (only in the K_END row) */
	char comm[16];
};
_Static_assert(sizeof(struct row) == 120, "row");

/* set by the reader before load: kernel dev_t (major << 20 | minor), ~0 = no such device */
const volatile __u32 dev_encl = ~0u, dev_vepc = ~0u;
/* address of the kernel's own counter of free EPC pages, from /proc/kallsyms; 0 when it may not be seen.
 * (Not a __ksym: with that, loading without CAP_SYSLOG or with kptr_restrict=2 fails or costs a parse.) */
const volatile __u64 nr_free_at = 0;

#define VA_MAX (1u << 17)                /* 131072 VA pages = 64 Mi pages = 256 GiB */
#define VA_MAX_OLD 1024                  /* before bpf_loop (5.17) */

/* The walks' state is in .bss, never on the stack: before 6.7 the verifier
 * checks a bpf_loop() callback as if it ran once, so what it knows of a stack
 * variable's first value (depth = 0) lets it remove the very bounds checks that
 * later rounds need.  It knows nothing of a map's contents, so they stay.
 * (Tried: with the state on the stack, Debian's 6.1.192 loads it and oopses.) */
static struct { struct list_head *head, *pos; __u32 n, done; } w;
static __always_inline long step(void)
{
	struct list_head *p = w.pos;
	if (p == w.head) { w.done = 1; return 1; }
	if (!p) return 1;
	w.n++;
	w.pos = 0;
	bpf_probe_read_kernel(&w.pos, sizeof w.pos, &p->next);
	return 0;
}
static long step_cb(__u32 i, void *c) { return step(); }

/* How many rows a container may have in one pass: a tenant chooses how many areas and descriptors its enclaves have.
 * The row behind them says F_MORE in place of an enclave, and then there are none.  By cgroup: processes are cheap. */
#define ROWS_OF_ONE (1u << 16)
struct told { __u64 session; __u32 rows; };
struct { __uint(type, BPF_MAP_TYPE_LRU_HASH); __uint(max_entries, 8192); __type(key, __u64); __type(value, struct told); } containers SEC(".maps");

static __always_inline struct told *told_of(struct row *r, __u64 session)
{
	__u64 key = r->memcg > 1 ? r->memcg : r->cgroup2;       /* 1 is the root, for all where there is no such hierarchy */
	struct told new = { .session = session }, *t = bpf_map_lookup_elem(&containers, &key);
	if (t && t->session == session) return t;
	bpf_map_update_elem(&containers, &key, &new, BPF_ANY);
	return bpf_map_lookup_elem(&containers, &key);
}

/* What was counted page by page, so that an enclave or guest that has many rows is walked once in a pass: a tenant may have a list
 * of version arrays as long as EPC is large, and descriptors of two such enclaves in turn. */
struct walk { __u64 session, pages; __u32 how; };
struct { __uint(type, BPF_MAP_TYPE_LRU_HASH); __uint(max_entries, 8192); __type(key, __u64); __type(value, struct walk); } walks SEC(".maps");

static __always_inline struct walk *walk_of(struct row *r, __u64 session)
{
	__u64 key = r->encl;
	struct walk *k = bpf_map_lookup_elem(&walks, &key);
	return k && k->session == session ? k : 0;
}

static __always_inline void keep_walk(struct row *r, __u64 session, __u64 pages)
{
	__u64 key = r->encl;
	struct walk new = { .session = session, .pages = pages, .how = r->how };
	bpf_map_update_elem(&walks, &key, &new, BPF_ANY);
}

/* one group's remembered answer, so an enclave cut into many VMAs is walked, and told, once */
static __u64 last_session, last_encl, last_mm; static __u32 last_tgid;

/* pages of a vEPC: sum of xa_node.count over the tree's lowest nodes, depth-first */
#define DEEP 12                         /* 64^11 > 2^64 */
static struct { __u64 node[16]; __u32 idx[16]; __s32 depth; __u32 done; __u64 n; } x;
static long xstep_cb(__u32 i, void *c)
{
	__s32 d = x.depth;
	if (d < 0) { x.done = 1; return 1; }
	if (d >= DEEP) return 1;
	struct xa_node *nd = (void *)x.node[d];
	__u32 k = x.idx[d];
	if (BPF_CORE_READ(nd, shift) == 0) {    /* a lowest node: its count is its number of entries */
		x.n += BPF_CORE_READ(nd, count);
		x.depth = d - 1;
		return 0;
	}
	if (k >= 64) { x.depth = d - 1; return 0; }
	x.idx[d] = k + 1;
	__u64 v = 0;
	bpf_probe_read_kernel(&v, sizeof v, &nd->slots[k]);
	if (v == 0) return 0;
	d++;
	if (d >= DEEP) return 1;
	if ((v & 3) == 2 && v > 4096) { x.node[d] = v - 2; x.idx[d] = 0; x.depth = d; }
	return 0;
}

static __always_inline void fill_task(struct row *r, struct task_struct *t)
{
	struct task_struct *l = BPF_CORE_READ(t, group_leader);
	struct pid *p = BPF_CORE_READ(l, thread_pid);
	struct css_set *cs = BPF_CORE_READ(t, cgroups);
	r->tgid = BPF_CORE_READ(t, tgid);
	r->started = BPF_CORE_READ(l, start_boottime);
	if (p) {
		unsigned int lv = BPF_CORE_READ(p, level);
		struct upid *u = __builtin_preserve_access_index(&p->numbers[0]);
		if (lv < 33) {
			__u32 sz = bpf_core_type_size(struct upid);
			bpf_probe_read_kernel(&r->nspid, 4, (void *)u + lv * sz + bpf_core_field_offset(struct upid, nr));
		}
	}
	r->cgroup2 = BPF_CORE_READ(cs, dfl_cgrp, kn, id);
	if (bpf_core_enum_value_exists(enum cgroup_subsys_id, memory_cgrp_id)) {
		__u32 k = bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id);
		struct cgroup_subsys_state *css = 0;
		bpf_probe_read_kernel(&css, sizeof css, (void *)__builtin_preserve_access_index(&cs->subsys[0]) + k * 8);
		r->memcg = BPF_CORE_READ(css, cgroup, kn, id);
	}
	bpf_probe_read_kernel_str(r->comm, sizeof r->comm, __builtin_preserve_access_index(&l->comm));
}

static __always_inline void fill_encl(struct row *r, struct sgx_encl *e, __u64 session)
{
	if (!bpf_core_field_exists(e->secs_child_cnt)) { r->how |= F_NO_LAYOUT; return; }
	/* In this order: of one that grows meanwhile more is then in EPC than exists, and not less, which were an eviction. */
	r->page_cnt = BPF_CORE_READ(e, page_cnt);
	if (bpf_core_read(&r->child, 4, &e->secs_child_cnt)) { r->how |= F_UNREAD; return; }
	r->base = BPF_CORE_READ(e, base); r->size = BPF_CORE_READ(e, size); r->flags = BPF_CORE_READ(e, flags);
	r->secs = BPF_CORE_READ(e, secs.epc_page) != 0;
	struct walk *k = walk_of(r, session);
	if (k) { r->va = k->pages; r->how |= k->how; return; }
	w.head = __builtin_preserve_access_index(&e->va_pages); w.pos = 0; w.n = w.done = 0;
	bpf_probe_read_kernel(&w.pos, sizeof w.pos, &w.head->next);
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_loop))
		bpf_loop(VA_MAX, step_cb, 0, 0);
	else
		for (__u32 i = 0; i < VA_MAX_OLD; i++) if (step()) break;
	r->va = w.n;
	if (!w.done) r->how |= F_VA_CUT;
	keep_walk(r, session, r->va);
}

static __always_inline void fill_vepc(struct row *r, struct sgx_vepc *v, __u64 session)
{
	if (!bpf_core_field_exists(v->page_array)) { r->how |= F_NO_LAYOUT; return; }
	__u64 h = (__u64)BPF_CORE_READ(v, page_array.xa_head);
	if (!h) return;
	if ((h & 3) != 2 || h <= 4096) { r->vepc_pages = 1; return; }
	struct walk *k = walk_of(r, session);
	if (k) { r->vepc_pages = k->pages; r->how |= k->how; return; }
	x.depth = 0; x.n = 0; x.done = 0; x.node[0] = h - 2; x.idx[0] = 0;
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_loop)) bpf_loop(1 << 20, xstep_cb, 0, 0);
	r->vepc_pages = x.n;
	if (!x.done) r->how |= F_GUEST_CUT;
	keep_walk(r, session, r->vepc_pages);
}

static __always_inline __u32 kind_of(struct file *f)
{
	struct inode *i = BPF_CORE_READ(f, f_inode);
	if ((BPF_CORE_READ(i, i_mode) & 0170000) != 0020000) return 0;
	if (BPF_CORE_READ(f, f_mode) & 0x4000) return 0;        /* O_PATH */
	__u32 d = BPF_CORE_READ(i, i_rdev);
	if (d == dev_encl) return K_ENCL;
	if (d == dev_vepc) return K_VEPC;
	return 0;
}

static __always_inline int emit(struct bpf_iter_meta *m, struct task_struct *task, struct file *f, __u32 kind, struct mm_struct *mm)
{
	/* not vm_private_data: the kernel sets that to NULL in a forked child when it is short of memory */
	void *p = BPF_CORE_READ(f, private_data);
	__u32 tgid = BPF_CORE_READ(task, tgid);
	if (!p) return 0;
	if (last_session != m->session_id) { last_session = m->session_id; last_encl = 0; }  /* the last pass may have been cut off */
	if (last_encl == (__u64)p && last_tgid == tgid && last_mm == (__u64)mm) return 0;
	struct row r = { .kind = kind, .encl = (__u64)p, .nr_free = -1 };
	fill_task(&r, task);
	struct told *t = told_of(&r, m->session_id);
	if (t && t->rows > ROWS_OF_ONE) return 0;
	if (t && t->rows == ROWS_OF_ONE) r.how = F_MORE;
	else if (kind == K_ENCL) fill_encl(&r, p, m->session_id); else fill_vepc(&r, p, m->session_id);
	last_encl = r.encl; last_tgid = r.tgid; last_mm = (__u64)mm;
	/* opened and no more is no enclave, and costs a tenant nothing: no row */
	if (!r.how && !r.page_cnt && !r.va && !r.vepc_pages) return 0;
	/* a row that did not fit is dropped and this program is run again for the same VMA: don't remember it */
	if (bpf_seq_write(m->seq, &r, sizeof r)) last_encl = 0;
	if (last_encl && t) t->rows++;
	return 0;
}

static __always_inline void finish(struct bpf_iter_meta *m)
{
	struct row r = { .kind = K_END, .nr_free = -1 };
	if (nr_free_at && bpf_probe_read_kernel(&r.nr_free, 8, (void *)nr_free_at)) r.nr_free = -1;
	bpf_seq_write(m->seq, &r, sizeof r);
	last_encl = last_mm = 0; last_tgid = 0;
}

/* A thread is read only when it leads its group, or when the leader has ended
 * (its mm is gone) while the group lives: then every thread shows the same mm,
 * and the repeats are dropped here and by the reader. */
static __always_inline int stands_for_group(struct task_struct *t)
{
	if (t->pid == t->tgid) return 1;
	return BPF_CORE_READ(t, group_leader, mm) == 0;
}

SEC("iter/task_vma")
int epc_vmas(struct bpf_iter__task_vma *ctx)
{
	struct task_struct *task = ctx->task;
	struct vm_area_struct *vma = ctx->vma;
	if (!task || !vma) { finish(ctx->meta); return 0; }
	struct file *f = vma->vm_file;
	if (!f) return 0;
	__u32 k = kind_of(f);
	if (!k || !stands_for_group(task)) return 0;
	return emit(ctx->meta, task, f, k, vma->vm_mm);
}

SEC("iter/task_file")
int epc_files(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *f = ctx->file;
	if (!task || !f) { finish(ctx->meta); return 0; }
	__u32 k = kind_of(f);
	if (!k) return 0;
	return emit(ctx->meta, task, f, k, BPF_CORE_READ(task, mm));
}
