"""Reading what a pipeline publishes: `Subscriber`."""

from pipeline.client.missed import TopicCount
from pipeline.client.subscriber import Subscriber, SubscriberStatistics

__all__ = ["Subscriber", "SubscriberStatistics", "TopicCount"]
