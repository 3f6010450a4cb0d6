"""Where the scheduler would put pods: its filters as they are, its scores as far as they decide where the next pod finds room.

Law: nobody is told that a pod fits whom the scheduler would leave Pending; what decides and is not looked at makes it unknown.
Source: k8s.io/kubernetes `pkg/scheduler`, 1.36.3.
"""
